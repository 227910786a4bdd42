"""Numbers that are not Python's own, such as those of numpy, as arguments and settings."""

import operator
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")


def is_scalar(value: object) -> TypeGuard[Any]:
    """Return whether a value is one number of numpy or torch, whose ``item()`` is Python's."""
    return hasattr(value, "item") and getattr(value, "ndim", None) == 0


def as_integer(value: T) -> T:
    """Return any kind of integer as Python's ``int``; other values, also truth values, unchanged.

    Pydantic and JSON accept Python's integers alone.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    try:
        return operator.index(value)  # type: ignore[return-value]
    except TypeError:  # an array of several numbers, or a float tensor
        return value
