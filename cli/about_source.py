"""What a command says about a dataset that it changed or read in part."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hmnpack import Plan

_MOST = 10
"""Maximum number of renamed classes to list."""


def renamed(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name of each class that is stored under another name, and that other name."""
    from hmnpack.schema.class_names import storable_class_names

    stored = storable_class_names(tuple(classes))
    return [pair for pair in zip(classes, stored, strict=True) if pair[0] != pair[1]]


def source_notes(plan: "Plan") -> Iterator[tuple[str, str]]:
    """Yield titles and texts for what the bundle will not show of the dataset."""
    from hmnpack.schema.skipped import skipped_in_words

    yield from _class_sizes(plan)
    split = plan.source.test_split
    if split is not None and plan.source.test is not None:
        yield (
            "test split",
            f"{len(plan.source.test):,} images, {100 * split.part:g} % of each class, drawn with "
            f"seed {split.seed}; change it with --test-split",
        )
    skipped = plan.source.skipped
    if skipped:
        yield "left out", ", ".join(skipped_in_words(*item) for item in skipped.items())
    pairs = renamed(plan.source.classes)
    if pairs:
        listed = "; ".join(f"{name!r} is stored as {stored!r}" for name, stored in pairs[:_MOST])
        more = len(pairs) - _MOST
        yield "class names", listed + (f"; and {more:,} more" if more > 0 else "")


def _class_sizes(plan: "Plan") -> Iterator[tuple[str, str]]:
    """Yield the smallest and the largest class, if they differ, and what each is given."""
    train, classes = plan.source.train, plan.source.classes
    sizes = train.labels.bincount(minlength=len(classes)).tolist()
    least, most = min(sizes), max(sizes)
    if least < most:
        smallest, largest = (classes[sizes.index(size)] for size in (least, most))
        yield (
            "classes",
            f"{least:,} images ({smallest!r}) to {most:,} ({largest!r}); each gets the same share "
            "of the budget",
        )
