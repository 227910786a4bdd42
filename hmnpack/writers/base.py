"""What every writer is: a function from a bundle's pictures to a path."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL.Image import Image

from hmnpack.bundle import Bundle
from hmnpack.bundle.pictures import pictures, positions


@dataclass(frozen=True)
class Album:
    """The pictures of a bundle, class by class.

    Args:
        bundle: What to decode.
        per_class: Take the first so many images of each class only, or all of a class that has
            fewer; None for all.
    """

    bundle: Bundle
    per_class: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self.bundle.manifest.classes

    @property
    def counts(self) -> tuple[int, ...]:
        """Pictures of each class, one entry per class."""
        counts = self.bundle.manifest.container.counts
        if self.per_class is None:
            return counts
        return tuple(min(count, self.per_class) for count in counts)

    @property
    def largest(self) -> int:
        """Pictures of the class that has the most."""
        return max(self.counts)

    def __iter__(self) -> Iterator[tuple[int, int, Image]]:
        """Give the label, the index within its class, and the picture, one after the other."""
        chosen = positions(self.bundle.manifest.container, self.per_class)
        places = (
            (label, index) for label, count in enumerate(self.counts) for index in range(count)
        )
        for place, picture in zip(places, pictures(self.bundle, chosen), strict=True):
            yield *place, picture


class Writer(Protocol):
    """Writes an album, to a path that is new or may be replaced."""

    def __call__(self, album: Album, out: Path, *, force: bool) -> None:
        """Write all of it, or leave what was there.

        Args:
            album: The pictures.
            out: The file or folder to be.
            force: Replace an earlier output.
        """


def digits_of(count: int) -> int:
    """Return how many digits the numbers 0 to ``count - 1`` take."""
    return len(str(count - 1))
