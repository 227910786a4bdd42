"""Which images a page shows, and how large: as many as a page of a bounded size can hold.

Pure arithmetic on the manifest. A PNG of noise is as large as its pixels, so pixels are what is
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.schema.container import ContainerSpec, ImageShape
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import Margins

CLASSES = 100
"""Most classes whose images are shown."""

EACH = 48
"""Most images of a class: three lines of 16 on a wide screen."""

PIXELS = 1_480_000
"""Numbers in all pictures of the classes, at most; a third more characters in the page."""

END_CLASSES = 20
END_EACH = 8
END_PIXELS = 250_000
"""The same, for the images of lowest margin, and again for those of highest."""

LEAST = 4
"""Images are made smaller, by a whole factor, until so many of each class fit."""


@dataclass(frozen=True)
class Choice:
    """Images to be shown, in rows.

    Attributes:
        factor: Their sides are divided by it.
        rows: For each class that is shown, from the first on, the positions of its images.
    """

    factor: int
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Room:
    """What there is room for: classes, images of each, and numbers in all."""

    classes: int
    each: int
    numbers: int


def by_class(manifest: Manifest) -> Choice:
    """Return the first images of each class, which are the most useful where the writer knew."""
    spec = manifest.container
    room = _Room(min(CLASSES, spec.classes), min(EACH, spec.largest), PIXELS)
    factor, most = _fitting(spec.image, room)
    classes = _positions(spec)[: room.classes]
    return Choice(factor, tuple(tuple(positions[:most]) for positions in classes))


def by_margin(manifest: Manifest, margins: Margins) -> tuple[Choice, Choice]:
    """Return the hardest images of each class, the hardest first, and the easiest likewise."""
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


def _of_an_end(count: int) -> int:
    """Return the images of one end of a class with so many: none is at both."""
    return min(END_EACH, max(1, count // 2))


def _positions(spec: ContainerSpec) -> list[range]:
    """Return the positions of the images of each class."""
    return [
        range(start, start + count) for start, count in zip(spec.offsets, spec.counts, strict=True)
    ]


def _hardest_first(values: Sequence[int], positions: range) -> list[int]:
    return sorted(positions, key=lambda position: (values[position], position))


def _fitting(image: ImageShape, room: _Room) -> tuple[int, int]:
    """Return the factor that images are made smaller by, and how many of each class fit."""
    for factor in range(1, image.side + 1):
        width, height = -(-image.width // factor), -(-image.height // factor)
        fitting = room.numbers // (room.classes * image.channels * width * height)
        if fitting >= min(LEAST, room.each):
            return factor, min(fitting, room.each)
    return image.side, 1
