"""The bases of every model that is written to, or read from, a file."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Frozen(BaseModel):
    """An immutable model that refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Extended(Frozen):
    """A model with fields that are written only where they say something.

    A document without them has the bytes that it had before there were such fields.
    """

    left_out_if_empty: ClassVar[frozenset[str]] = frozenset()
    """Names of those fields."""

    @model_serializer(mode="wrap")
    def _what_says_something(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in document.items()
            if value or name not in self.left_out_if_empty
        }
