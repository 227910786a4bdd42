"""Parts and statistics of a split: pure functions of its tensors.

Shape legend: N images, K classes, C channels.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.types import Split

_CHUNK = 4096
"""Images whose pixels are counted at once: bounds the copy that counting makes."""


def hold_out(split: Split, fraction: float, generator: torch.Generator) -> tuple[Split, Split]:
    """Return (what is kept, what is held out), each in the split's own order.

    The order of a split is canonical, so what is held out does not depend on how data are stored.

    Args:
        split: The images to divide.
        fraction: Part of each class that is held out, in [0, 1).
        generator: Draws which.
    """
    held = draw_held_out(split.labels, fraction, generator)
    kept = split.subset(~held) if held.any() else split
    return kept, split.subset(held)


def draw_held_out(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return which images to hold out: bool [N].

    Of a class with n images, floor(fraction * n) are held out, drawn without replacement; the
    product is taken in decimal, so that 0.29 of 100 is 29.

    Args:
        labels: int64 [N].
        fraction: Part of each class that is held out, in [0, 1).
        generator: Draws which.
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
    """Return the indices of random images of each class, class by class.

    Args:
        split: The images to choose from.
        count: Images per class, or of each class; 0 or more.
        generator: Draws which, without replacement.
        classes: Names for the message; by default the labels.

    Returns:
        int64 [sum of the counts].

    Raises:
        BadData: if a class has fewer images than asked for.
    """
    names = classes or [str(label) for label in range(_class_count(split.labels))]
    counts = [count] * len(names) if isinstance(count, int) else count
    by_class = _rows_by_class(split.labels, len(names))
    chosen = []
    for name, few, rows in zip(names, counts, by_class, strict=True):
        if len(rows) < few:
            raise BadData(f"class {name!r} has {len(rows)} images, fewer than the {few} asked for")
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:few]])
    return torch.cat(chosen)


def normalisation_of(split: Split) -> Normalisation:
    """Return the mean and standard deviation of each channel, of pixels in [0, 1].

    Exact: computed from how often each of the 256 values occurs. A channel that is one value
    everywhere gets a deviation of 1, by which nothing changes.

    Args:
        split: Images uint8 [N, C, H, W]; the deviation is that of the population.
    """
    channels = split.images.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.float64)
    for chunk in torch.split(split.images, _CHUNK):
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
