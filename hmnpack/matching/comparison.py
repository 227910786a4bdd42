"""What feature matching compares, one entry for each of its objectives.

Shapes: K classes, n images of each, D features of a block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.matching.characteristic import characteristic_distance, draw_frequencies
from hmnpack.matching.distances import Distance, mean_distance
from hmnpack.matching.footprint import FREQUENCIES, GRIDS, frequency_bytes
from hmnpack.runtime.devices import sent


@dataclass(frozen=True)
class Comparison:
    """A distance, and what it needs.

    Attributes:
        distance: Makes the distance of one step and block, from the real features and a CPU
            generator that is the same for all classes and ranks.
        whole: Whether it needs every real image's features, and a unit of length; else their
            class means do, as one image.
        cells: Largest side of a map that it takes as it is; 0: any.
        held: Bytes that such a distance holds, from the number of features.
    """

    distance: Callable[[Tensor, torch.Generator], Distance]
    whole: bool
    cells: int = 0
    held: Callable[[int], int] = lambda _: 0


def _characteristic(real_KnD: Tensor, generator: torch.Generator) -> Distance:
    frequencies = draw_frequencies(FREQUENCIES, real_KnD.shape[2], generator)
    return partial(characteristic_distance, frequencies_TD=sent(frequencies, real_KnD.device))


MEANS = Comparison(lambda *_: mean_distance, whole=False)
"""Class means."""

CHARACTERISTIC = Comparison(
    _characteristic,
    whole=True,
    cells=GRIDS["characteristic"],
    held=frequency_bytes,
)
"""Distributions, by characteristic functions. A first block's map of 16 x 16 and 64 channels has
16,384 features, for each of which every frequency is a random number; so larger maps are averaged
over 4 x 4 cells first, the size of a ConvNet's last map for 32 pixels."""


def grouped(block: Tensor, classes: int, cells: int) -> Tensor:
    """Return a block's outputs class by class, as they are or averaged over a grid of cells.

    Cells are as even as whole pixels allow; the last of a row or column may be smaller.

    Args:
        block: [K * n, C, h, w].
        classes: Number of classes K.
        cells: Largest side of a map that stays as it is, 0 for any.

    Returns:
        [K, n, D].
    """
    height, width = block.shape[2:]
    if cells and max(height, width) > cells:
        sizes = (-(-height // cells), -(-width // cells))
        block = F.avg_pool2d(block.float(), sizes, ceil_mode=True, count_include_pad=False)
    by_class: Tensor = block.flatten(1).unflatten(0, (classes, -1))
    return by_class
