"""Selection of the images on a page and of their size, so that the page size is bounded.

Pure arithmetic on the manifest. A PNG file of noise is as large as its pixels, so the limits are
in pixel values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.schema.container import ContainerSpec, ImageShape
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import Margins

CLASSES = 100
"""Maximum number of classes whose images are shown."""

EACH = 48
"""Maximum number of images per class: three lines of 16 on a wide screen."""

PIXELS = 1_480_000
"""Maximum pixel values (times channels) of these images; base64 adds a third in the page."""

END_CLASSES = 20
END_EACH = 8
END_PIXELS = 250_000
"""The same limits for the images with the lowest margins, and for those with the highest."""

STRIP_CLASSES = 10
STRIP_SIDE = 64
"""Maximum classes of a strip, and the largest side of its images in pixels."""

LEAST = 4
"""Images are downscaled by an integer factor until this many per class fit."""


@dataclass(frozen=True)
class Choice:
    """Images to show, in rows.

    Attributes:
        factor: Downscaling factor of their sides.
        rows: Positions of the images of each shown class, starting with class 0.
    """

    factor: int
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Room:
    """Limits: number of classes, images per class, and pixel values in total."""

    classes: int
    each: int
    values: int


def by_class(manifest: Manifest) -> Choice:
    """Return the first images of each class; they are the most useful ones after pruning."""
    spec = manifest.container
    room = _Room(min(CLASSES, spec.classes), min(EACH, spec.largest), PIXELS)
    factor, most = _fitting(spec.image, room)
    classes = _positions(spec)[: room.classes]
    return Choice(factor, tuple(tuple(positions[:most]) for positions in classes))


def by_margin(manifest: Manifest, margins: Margins) -> tuple[Choice, Choice]:
    """Return the hardest images of each class, hardest first, and the easiest, easiest first."""
    spec = manifest.container
    room = _Room(min(END_CLASSES, spec.classes), _of_an_end(spec.largest), END_PIXELS)
    factor, most = _fitting(spec.image, room)
    hardest, easiest = [], []
    for positions in _positions(spec)[: room.classes]:
        ranked = _hardest_first(margins.values, positions)
        shown = min(most, _of_an_end(len(ranked)))
        hardest.append(tuple(ranked[:shown]))
        easiest.append(tuple(ranked[: -shown - 1 : -1]))
    return Choice(factor, tuple(hardest)), Choice(factor, tuple(easiest))


def one_of_each(manifest: Manifest) -> Choice:
    """Return the first image of each of the first classes, for a strip."""
    spec = manifest.container
    first = spec.offsets[: min(STRIP_CLASSES, spec.classes)]
    return Choice(-(-spec.image.side // STRIP_SIDE), tuple((position,) for position in first))


def _of_an_end(count: int) -> int:
    """Return how many images to show per end for a class size, so that the ends do not overlap."""
    return min(END_EACH, max(1, count // 2))


def _positions(spec: ContainerSpec) -> list[range]:
    """Return the positions of the images of each class."""
    return [
        range(start, start + count) for start, count in zip(spec.offsets, spec.counts, strict=True)
    ]


def _hardest_first(values: Sequence[int], positions: range) -> list[int]:
    return sorted(positions, key=lambda position: (values[position], position))


def _fitting(image: ImageShape, room: _Room) -> tuple[int, int]:
    """Return the downscaling factor, and how many images per class fit."""
    for factor in range(1, image.side + 1):
        width, height = -(-image.width // factor), -(-image.height // factor)
        fitting = room.values // (room.classes * image.channels * width * height)
        if fitting >= min(LEAST, room.each):
            return factor, min(fitting, room.each)
    return image.side, 1
