"""Selects and orders the images to retain of each class: pure functions of margins.

The rank of an image is its position within its class, sorted by margin: 0 is the hardest (lowest
margin). Every margin-based strategy retains consecutive ranks.

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
"""Strategies that equal double-end pruning with a fixed beta."""


def hardest_of(beta: float, surplus: int) -> int:
    """Return how many of the dropped images are the hardest ones: floor(beta * k) (Algorithm 1).

    Args:
        beta: Hard pruning rate in [0, 1]; read as a decimal number, so that 0.29 of 100 is 29.
        surplus: Number of images k that a class drops; the other k - floor(beta * k) are the
            easiest.

    Example:
        >>> hardest_of(0.29, 100)
        29
    """
    return math.floor(Fraction(str(beta)) * surplus)


def most_useful_first(count: int) -> list[int]:
    """Return the ranks 0 ... count - 1 in order of usefulness: middle ranks first.

    For every m, the first m ranks are those that double-end pruning with beta = 1/2 retains. A
    prefix of a class is therefore a further pruned class. The paper supports this order: images
    with a low margin do not match their label and may harm, and those with a high margin are
    similar and add little (section 3.2, appendix D.4).

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
    """Return the images to retain of each class, the most useful first.

    If a class drops k images, ``double-end`` drops the floor(beta * k) hardest and the rest from
    the easiest, ``easy`` the k easiest, ``hard`` the k hardest, ``random`` k random ones, and
    ``none`` the last k. The margin-based strategies order the rest by :func:`most_useful_first`,
    ``random`` orders it randomly, and ``none`` preserves the order.

    Args:
        margins: float32 [N]; None is allowed for ``random`` and ``none``.
        labels: int64 [N], of classes 0 ... K - 1.
        keep: Images to retain: one count for all classes, or one per class.
        strategy: Name of the strategy.
        beta: Hard pruning rate in [0, 1]; for ``double-end`` only.
        generator: Random number generator; for ``random`` only.

    Returns:
        One int64 tensor [images retained] per class: positions among the N images.

    Raises:
        BadSettings: if a class has too few images, or the strategy lacks an input.
    """
    counts = torch.bincount(labels).tolist()
    keeps = [keep] * len(counts) if isinstance(keep, int) else keep
    for label, (few, count) in enumerate(zip(keeps, counts, strict=True)):
        if not 1 <= few <= count:
            raise BadSettings(f"cannot keep {few} images of class {label}, which has {count}")
    if strategy in BY_MARGIN:
        if margins is None:
            raise BadSettings(f"strategy {strategy} needs margins, and none were given")
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
    return tuple(rows[_random_rows(len(rows), few, generator)] for rows, few in classes)


def _by_class(margins: Tensor, labels: Tensor) -> Tensor:
    """Return all positions, sorted by class, and within a class from the hardest: int64 [N]."""
    order = margins.argsort(stable=True)
    return order[labels[order].argsort(stable=True)]


def _between_the_ends(ranked: Tensor, keep: int, beta: float) -> Tensor:
    """Return what double-end pruning retains of one class, whose images are sorted by margin."""
    middle = torch.tensor(most_useful_first(keep), device=ranked.device)
    return ranked[hardest_of(beta, len(ranked) - keep) + middle]


def _random_rows(count: int, keep: int, generator: torch.Generator | None) -> Tensor:
    return torch.randperm(count, generator=generator)[:keep]
