"""Which images of each class are kept, and in which order: pure functions of margins.

An image's rank is its place among those of its class, from 0, the hardest (lowest margin). Every
strategy that goes by margins keeps ranks that lie side by side.

Shape legend: N images, K classes.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.schema.config import BY_MARGIN, PruneStrategy

_ONE_END: dict[PruneStrategy, float] = {"easy": 0.0, "hard": 1.0}
"""Strategies that are double-end pruning at a beta of their own."""


def hardest_of(beta: float, surplus: int) -> int:
    """Return how many of the dropped images are the hardest: floor(beta * k) (Algorithm 1).

    Args:
        beta: Hard pruning rate, in [0, 1]; taken in decimal, so that 0.29 of 100 is 29.
        surplus: Images that are dropped of each class, k; the other k - floor(beta k) are the
            easiest.

    Example:
        >>> hardest_of(0.29, 100)
        29
    """
    return math.floor(Fraction(str(beta)) * surplus)


def margin_ranks(margins: Tensor, labels: Tensor) -> Tensor:
    """Return the rank of every image among those of its class: int64 [N], from 0, the hardest.

    Args:
        margins: float32 [N]; of equal ones the first image is the harder.
        labels: int64 [N].
    """
    order = _by_class(margins, labels)
    counts = torch.bincount(labels)
    starts = counts.cumsum(0) - counts
    found = torch.empty_like(order)
    found[order] = torch.arange(len(order), device=order.device) - starts[labels[order]]
    return found


def most_useful_first(count: int) -> list[int]:
    """Return the ranks 0 ... count - 1 from the most useful on: those in the middle first.

    The first m are what double-end pruning at beta = 1/2 leaves of all of them, for every m: a
    prefix of a class is the class pruned further. What the paper says of both ends speaks for it:
    pictures of a low margin fit their label badly and may harm, those of a high margin look alike
    and add little (section 3.2, appendix D.4).

    Example:
        >>> most_useful_first(5)
        [2, 1, 3, 0, 4]
    """
    return sorted(range(count), key=lambda rank: abs(2 * rank - (count - 1)))


def kept_images(
    margins: Tensor | None,
    labels: Tensor,
    keep: int | Sequence[int],
    strategy: PruneStrategy,
    *,
    beta: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, ...]:
    """Return the images that are kept of each class, the most useful first.

    Of k images that a class drops, ``double-end`` drops the floor(beta * k) hardest and the others
    easiest, ``easy`` the easiest, ``hard`` the hardest, ``random`` random ones, and ``none`` the
    last. What is kept comes as :func:`most_useful_first` says; by ``random`` in the order of the
    draw, by ``none`` as it was.

    Args:
        margins: float32 [N]; ``random`` and ``none`` need none.
        labels: int64 [N], of classes 0 ... K - 1.
        keep: Images to keep: per class, or of each class.
        strategy: How.
        beta: Hard pruning rate in [0, 1]; for ``double-end`` alone.
        generator: Draws which; for ``random`` alone.

    Returns:
        Of each class int64 [images kept]: positions among the N.

    Raises:
        BadSettings: if a class has fewer images, or the strategy lacks what it needs.
    """
    counts = torch.bincount(labels).tolist()
    keeps = [keep] * len(counts) if isinstance(keep, int) else keep
    for label, (few, count) in enumerate(zip(keeps, counts, strict=True)):
        if not 1 <= few <= count:
            raise BadSettings(f"cannot keep {few} images of class {label}, which has {count}")
    if strategy in BY_MARGIN:
        if margins is None:
            raise BadSettings(f"strategy {strategy} goes by margins, and there are none")
        rate = _ONE_END.get(strategy, beta)
        if rate is None:
            raise BadSettings(f"strategy {strategy} needs a beta from 0 to 1")
        ranked = _by_class(margins, labels).split(counts)
        return tuple(
            _between_the_ends(rows, few, rate) for rows, few in zip(ranked, keeps, strict=True)
        )
    if strategy == "random" and generator is None:
        raise BadSettings("strategy random needs a generator")
    classes = zip(labels.argsort(stable=True).split(counts), keeps, strict=True)
    if strategy == "none":
        return tuple(rows[:few] for rows, few in classes)
    return tuple(rows[_drawn(len(rows), few, generator)] for rows, few in classes)


def _by_class(margins: Tensor, labels: Tensor) -> Tensor:
    """Return all positions, class by class and within each from the hardest: int64 [N]."""
    order = margins.argsort(stable=True)
    return order[labels[order].argsort(stable=True)]


def _between_the_ends(ranked: Tensor, keep: int, beta: float) -> Tensor:
    """Return what is left of one class, whose images come from the hardest on."""
    middle = torch.tensor(most_useful_first(keep), device=ranked.device)
    return ranked[hardest_of(beta, len(ranked) - keep) + middle]


def _drawn(count: int, keep: int, generator: torch.Generator | None) -> Tensor:
    return torch.randperm(count, generator=generator)[:keep]
