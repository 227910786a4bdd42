"""Images per class: one integer if all classes have the same number, otherwise one per class."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

MAX_CLASSES = 100_000
"""Maximum number of classes in a bundle."""

MAX_INSTANCES = 10_000_000
"""Maximum number of images in a class."""


def _form(given: object) -> Literal["list", "number"]:
    return "list" if isinstance(given, list | tuple) else "number"


def _not_all_equal(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Check that the counts differ: equal ones have a shorter form, and encodings are unique."""
    if len(set(counts)) == 1:
        raise PydanticCustomError(
            "one_number",
            "all classes have {images} images; write a single integer",
            {"images": counts[0]},
        )
    return counts


_Count = Annotated[int, Field(ge=1, le=MAX_INSTANCES)]
_Counts = Annotated[
    tuple[_Count, ...],
    Field(min_length=1, max_length=MAX_CLASSES, fail_fast=True),
    AfterValidator(_not_all_equal),
]

Instances = Annotated[
    Annotated[_Count, Tag("number")] | Annotated[_Counts, Tag("list")], Discriminator(_form)
]
"""An integer: images of every class. Integers, not all equal: images of class 0, class 1, ..."""


def instances_of(counts: Iterable[int]) -> int | tuple[int, ...]:
    """Return the stored form of the images per class: one integer if all counts are equal.

    Example:
        >>> instances_of([3, 3]), instances_of([3, 2])
        (3, (3, 2))
    """
    counts = tuple(counts)
    return counts[0] if len(set(counts)) == 1 else counts


def in_words(instances: int | tuple[int, ...]) -> str:
    """Return the images per class as text: ``"85"``, or a range such as ``"80 to 93"``."""
    if isinstance(instances, int):
        return f"{instances:,}"
    return f"{min(instances):,} to {max(instances):,}"


def check_length(what: str, instances: int | tuple[int, ...], classes: int) -> None:
    """Check that a list of images per class has one entry per class.

    Raises:
        ValueError: if it does not; the message contains ``what`` and both lengths.
    """
    if not isinstance(instances, int) and len(instances) != classes:
        raise ValueError(f"{what}: {len(instances)} entries for {classes} classes")
