"""PNG images to embed in a page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wall:
    """Rows of images.

    Attributes:
        width: Width of each image, in pixels.
        height: Height of each image, in pixels.
        factor: Downscaling factor of the sides.
        rows: Position and PNG file of each image, for each shown class.
    """

    width: int
    height: int
    factor: int
    rows: tuple[tuple[tuple[int, bytes], ...], ...]


@dataclass(frozen=True)
class Strip:
    """The first images of classes, side by side in one PNG file.

    Attributes:
        width: Width of the strip, in pixels.
        height: Its height, in pixels.
        classes: Number of images in it, of the first classes.
        data: The PNG file.
    """

    width: int
    height: int
    classes: int
    data: bytes


@dataclass(frozen=True)
class Gallery:
    """All images of a page.

    Attributes:
        by_class: First images of each class; None if PNG does not support the channels.
        hardest: Images with the lowest margins; None also if there are no margins.
        easiest: Images with the highest margins, likewise.
    """

    by_class: Wall | None = None
    hardest: Wall | None = None
    easiest: Wall | None = None
