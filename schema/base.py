"""The bases of every model that is written to, or read from, a file."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

MAX_INTEGER = 2**63 - 1
"""Largest whole number in a document: readers count in 64 bits."""


class Frozen(BaseModel):
    """An immutable model that refuses unknown fields and non-finite numbers."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )


class Extended(Frozen):
    """A model with fields that are written only where they say something.

    A document without them has the bytes that it had before there were such fields.
    """

    left_out_if_empty: ClassVar[frozenset[str]] = frozenset()
    """Names of those fields that say nothing where they are empty (or 0, or null)."""

    left_out_if_default: ClassVar[frozenset[str]] = frozenset()
    """Names of those that say nothing where they have their default: number, text or settings."""

    @model_serializer(mode="wrap")
    def _what_says_something(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {
            name: value for name, value in document.items() if not self._says_nothing(name, value)
        }

    def _says_nothing(self, name: str, value: object) -> bool:
        if name in self.left_out_if_default:
            default = type(self).model_fields[name].default
            if isinstance(default, BaseModel):
                return type(default).model_validate(value) == default
            return bool(value == default)
        return name in self.left_out_if_empty and not value
