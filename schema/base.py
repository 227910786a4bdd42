"""Base class and common field types of every model that is read from or written to a file."""

from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field

MAX_INTEGER = 2**63 - 1
"""Largest integer in a document; readers use signed 64-bit integers."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=1000)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^/]")]


class Frozen(BaseModel):
    """Immutable model that rejects unknown fields and non-finite floats."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )


def absent_groups(model: BaseModel) -> frozenset[str]:
    """Return the fields that hold a group of settings, of which this model has none (null)."""
    fields = type(model).model_fields
    return frozenset(
        name for name, value in model if value is None and _may_be_model(fields[name].annotation)
    )


def _may_be_model(annotation: Any) -> bool:  # noqa: ANN401 - any type form
    """Return whether a type is a model, or a union or an annotated form of one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_may_be_model(inner) for inner in get_args(annotation))
