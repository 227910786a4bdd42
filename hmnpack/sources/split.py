"""Subsets and statistics of a split, as pure functions of it.

Shape legend: N images, K classes, C channels.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import chunks
from hmnpack.sources.types import Split


def hold_out(split: Split, fraction: float, generator: torch.Generator) -> tuple[Split, Split]:
    """Return (remaining images, held-out images), each in the split's order.

    The order of a split is canonical, so the choice does not depend on how the data are stored.

    Args:
        split: The images to divide.
        fraction: Fraction of each class to hold out, in [0, 1).
        generator: Random generator of the choice.
    """
    held = draw_held_out(split.labels, fraction, generator)
    remaining = split.subset(~held) if held.any() else split
    return remaining, split.subset(held)


def draw_held_out(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return a mask of the images to hold out, bool [N].

    From a class of n images, floor(fraction * n) are drawn without replacement. The product is
    computed in decimal, so that 0.29 of 100 is 29.

    Args:
        labels: int64 [N].
        fraction: Fraction of each class to hold out, in [0, 1).
        generator: Random generator of the choice.
    """
    part = Fraction(str(fraction))
    held = torch.zeros(len(labels), dtype=torch.bool)
    for rows in _rows_by_class(labels, _class_count(labels)):
        order = torch.randperm(len(rows), generator=generator)
        held[rows[order[: math.floor(part * len(rows))]]] = True
    return held


def choose_per_class(
    split: Split,
    count: int | Sequence[int],
    generator: torch.Generator,
    classes: Sequence[str] = (),
) -> Tensor:
    """Return the indices of random images from each class, grouped by class.

    Args:
        split: The images to choose from.
        count: Images per class, one number for all or one per class; 0 or more.
        generator: Random generator; images are drawn without replacement.
        classes: Class names for messages; by default the labels.

    Returns:
        int64 [sum of the counts].

    Raises:
        BadData: if a class has fewer images than requested.
    """
    names = classes or [str(label) for label in range(_class_count(split.labels))]
    counts = [count] * len(names) if isinstance(count, int) else count
    by_class = _rows_by_class(split.labels, len(names))
    chosen = []
    for name, wanted, rows in zip(names, counts, by_class, strict=True):
        if len(rows) < wanted:
            raise BadData(f"class {name!r} has {len(rows)} images; {wanted} were requested")
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:wanted]])
    return torch.cat(chosen)


def normalisation_of(split: Split) -> Normalisation:
    """Return the mean and population standard deviation of each channel, for pixels in [0, 1].

    Both are exact, computed from a histogram of the 256 values. A constant channel gets a
    deviation of 1, which leaves its values unscaled.

    Args:
        split: Images uint8 [N, C, H, W].
    """
    channels = split.pixels.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.float64)
    for chunk in chunks(split.pixels):
        for channel in range(channels):
            values = chunk[:, channel].flatten()
            counts[channel] += torch.bincount(values, minlength=256)
    weights = counts / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(1)
    std = torch.where(variance > 0, variance.sqrt(), 1.0)
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _class_count(labels: Tensor) -> int:
    return int(labels.max()) + 1 if len(labels) else 0


def _rows_by_class(labels: Tensor, classes: int) -> Iterator[Tensor]:
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=classes)
    yield from torch.split(order, counts.tolist())
