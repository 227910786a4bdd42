"""Which images a page shows, and how large: as many as a page of a bounded size can hold.

Pure arithmetic on the manifest. A PNG of noise is as large as its pixels, so pixels are what is
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Manifest, Margins

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
    room = _Room(min(CLASSES, spec.classes), min(EACH, spec.instances), PIXELS)
    factor, count = _fitting(spec.image, room)
    starts = range(0, room.classes * spec.instances, spec.instances)
    return Choice(factor, tuple(tuple(range(start, start + count)) for start in starts))


def by_margin(manifest: Manifest, margins: Margins) -> tuple[Choice, Choice]:
    """Return the hardest images of each class, the hardest first, and the easiest likewise."""
    spec = manifest.container
    each = min(END_EACH, max(1, spec.instances // 2))  # no image at both ends
    room = _Room(min(END_CLASSES, spec.classes), each, END_PIXELS)
    factor, count = _fitting(spec.image, room)
    ranked = [
        _hardest_first(margins.values, range(label * spec.instances, (label + 1) * spec.instances))
        for label in range(room.classes)
    ]
    hardest = Choice(factor, tuple(tuple(row[:count]) for row in ranked))
    return hardest, Choice(factor, tuple(tuple(row[: -count - 1 : -1]) for row in ranked))


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
