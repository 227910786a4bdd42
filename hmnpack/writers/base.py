"""The interface of a writer: a function that writes a bundle's decoded images to a path."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL.Image import Image

from hmnpack.bundle import Bundle
from hmnpack.bundle.pictures import pictures, positions


@dataclass(frozen=True)
class Album:
    """The decoded images of a bundle, class by class.

    Args:
        bundle: The bundle to decode.
        per_class: Limit of images per class: the first ones are used, or all of a smaller class.
            None: all images.
    """

    bundle: Bundle
    per_class: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self.bundle.manifest.classes

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of images per class."""
        counts = self.bundle.manifest.container.counts
        if self.per_class is None:
            return counts
        return tuple(min(count, self.per_class) for count in counts)

    @property
    def largest(self) -> int:
        """Number of images in the largest class."""
        return max(self.counts)

    def __iter__(self) -> Iterator[tuple[int, int, Image]]:
        """Yield the label, the index within the class, and the image, one after the other."""
        chosen = positions(self.bundle.manifest.container, self.per_class)
        places = (
            (label, index) for label, count in enumerate(self.counts) for index in range(count)
        )
        for place, image in zip(places, pictures(self.bundle, chosen), strict=True):
            yield *place, image


class Writer(Protocol):
    """Writes an album to a path that does not exist or may be replaced."""

    def __call__(self, album: Album, out: Path, *, force: bool) -> None:
        """Write all images, or leave an earlier output unchanged.

        Args:
            album: The images.
            out: Path of the new file or folder.
            force: Replace an earlier output.
        """


def digits_of(count: int) -> int:
    """Return the number of digits needed for the integers 0 to ``count - 1``."""
    return len(str(count - 1))
