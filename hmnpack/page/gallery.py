"""The pictures of a page, as they are put into it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wall:
    """Rows of pictures.

    Attributes:
        width: Of each picture, in its own pixels.
        height: Likewise.
        factor: What the images' sides were divided by.
        rows: For each class that is shown, the position of each image and its PNG file.
    """

    width: int
    height: int
    factor: int
    rows: tuple[tuple[tuple[int, bytes], ...], ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures of a page.

    Attributes:
        by_class: The most useful of each class; None where images cannot be pictures.
        hardest: Those of the lowest margins; None where there are no margins, too.
        easiest: Those of the highest.
    """

    by_class: Wall | None = None
    hardest: Wall | None = None
    easiest: Wall | None = None
