"""Grids and channels that the planner tries for an HMN (pure arithmetic).

For the paper's own datasets, and for images under :data:`PHOTO_SIDE` pixels, they are those of
Table 7; for other images they follow from the side.
"""

from dataclasses import dataclass, replace
from math import ceil, log, log2, sqrt

from hmnpack.schema.container import ImageShape
from hmnpack.schema.presets import DECODER_CHANNELS, PRESETS

MAX_GRID = 12
"""Largest side of a grid."""

SMALL_SIDE = 16
PHOTO_SIDE = 48

PHOTO_GRID = 8
"""Largest side of a photo's grid: 64 pixels have three decoder layers, 128 four, 256 five."""

PHOTO_IMAGES = 40
"""Images of a class that the channels of a photo's instance memories are chosen for, at 1 IPC."""

INSTANCE_PART = 0.8
"""Part of a budget that the instance memories may fill, when their channels are chosen."""


@dataclass(frozen=True)
class Sizes:
    """Side of the grid; channels of the memories, the extractor (None: identity), the decoder."""

    grid: int
    dataset: int
    klass: int
    instance: int
    extractor: int | None
    decoder: tuple[int, ...]


_SMALLER = ((5, 3, 2, None, (10, 6)), (4, 2, 2, None, (6, 4)), (2, 1, 1, None, (4, 2)))
"""Channels for budgets that are too small for the others, in descending order."""

_PHOTO = (16, 6)
"""Channels of a photo's dataset and class memories."""


def candidates(ipc: int, classes: int, image: ImageShape) -> tuple[Sizes, ...]:
    """Return the sizes to try, in order; the first that leaves enough images is taken."""
    if image.side < SMALL_SIDE:
        grid = ceil(image.side / 4)
        return tuple(replace(each, decoder=each.decoder[1:]) for each in _smaller(grid))
    if image.side < PHOTO_SIDE or _is_the_papers(classes, image):
        grid = min(MAX_GRID, ceil(image.side / 8))
        first = _nearest_column(ipc, classes, image, grid)
        return (first, *_smaller(grid))
    layers = max(3, ceil(log2(image.side / PHOTO_GRID)))
    grid = ceil(image.side / 2**layers)
    first = Sizes(grid, *_PHOTO, _instance_channels(ipc, image, grid), None, DECODER_CHANNELS)
    return tuple(_with_layers(sizes, layers) for sizes in (first, *_smaller(grid)))


def _smaller(grid: int) -> tuple[Sizes, ...]:
    return tuple(Sizes(grid, *channels) for channels in _SMALLER)


def _instance_channels(ipc: int, image: ImageShape, grid: int) -> int:
    """Return the channels with which the instance memories of a class fill their part."""
    images = PHOTO_IMAGES * sqrt(ipc)
    return max(1, int(INSTANCE_PART * ipc * image.elements / (images * grid**2)))


def _with_layers(sizes: Sizes, layers: int) -> Sizes:
    """Return sizes whose decoder has more layers, each with two thirds of the one before."""
    decoder = sizes.decoder
    while len(decoder) < layers - 1:
        decoder = (*decoder, max(2, round(decoder[-1] * 2 / 3)))
    return replace(sizes, decoder=decoder)


def _is_the_papers(classes: int, image: ImageShape) -> bool:
    return any((column.classes, column.image) == (classes, image) for column in PRESETS)


def _nearest_column(ipc: int, classes: int, image: ImageShape, grid: int) -> Sizes:
    """Return the column of Table 7 that is nearest in side, floats per class and classes."""

    def distance(index: int) -> float:
        column = PRESETS[index]
        pairs = (
            (image.side, column.image.side),
            (ipc * image.elements, column.ipc * column.image.elements),
            (classes, column.classes),
        )
        return sum(abs(log(ours / theirs)) for ours, theirs in pairs)

    column = PRESETS[min(range(len(PRESETS)), key=distance)]
    return Sizes(
        grid,
        column.dataset_channels,
        column.class_channels,
        column.instance_channels,
        column.extractor_channels,
        DECODER_CHANNELS,
    )
