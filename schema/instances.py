"""How many images each class has: one number where all have equally many, else one for each."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

MAX_CLASSES = 100_000
"""Most classes of one bundle."""

MAX_INSTANCES = 10_000_000
"""Most images of one class."""


def _form(given: object) -> Literal["list", "number"]:
    return "list" if isinstance(given, list | tuple) else "number"


def _not_all_equal(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse what has a shorter form, so that a content has one encoding."""
    if len(set(counts)) == 1:
        raise PydanticCustomError(
            "one_number",
            "all classes have {images} images; write the one number",
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
"""One number: images of each class. Numbers, not all equal: images of class 0, of class 1, ..."""


def instances_of(counts: Iterable[int]) -> int | tuple[int, ...]:
    """Return the stored form of the images of each class: one number if all are equal.

    Example:
        >>> instances_of([3, 3]), instances_of([3, 2])
        (3, (3, 2))
    """
    counts = tuple(counts)
    return counts[0] if len(set(counts)) == 1 else counts


def in_words(instances: int | tuple[int, ...]) -> str:
    """Return the images of a class as text: ``"85"``, or the range ``"80 to 93"``."""
    if isinstance(instances, int):
        return f"{instances:,}"
    return f"{min(instances):,} to {max(instances):,}"


def check_length(what: str, instances: int | tuple[int, ...], classes: int) -> None:
    """Check that a list of images per class has an entry for every class.

    Raises:
        ValueError: naming ``what`` and both lengths.
    """
    if not isinstance(instances, int) and len(instances) != classes:
        raise ValueError(f"{what}: {len(instances)} numbers for {classes} classes")
