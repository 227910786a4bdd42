"""`sheet`: a contact sheet, one PNG with one row per class."""

from pathlib import Path

from PIL import Image

from hmnpack.errors import BadSettings
from hmnpack.runtime.output import replacing
from hmnpack.writers.base import Album

COLUMNS = 10
"""Images per row, unless `per_class` is given."""

ROWS = 100
"""Most rows; later classes are omitted."""

SIDE = 64
"""Side in pixels that smaller images are enlarged to at most, by an integer factor."""

GAP = 2
"""Space between images, in pixels."""

MAX_PIXELS = 2**27
"""Largest sheet, in pixels."""


def write_sheet(album: Album, out: Path, *, force: bool) -> None:
    """Write a contact sheet; see :func:`hmnpack.writers.expand`.

    Raises:
        BadSettings: if the sheet would have more than ``MAX_PIXELS`` pixels.
    """
    columns = album.largest if album.per_class else min(COLUMNS, album.largest)
    rows = min(ROWS, len(album.classes))
    sheet = contact_sheet(Album(album.bundle, columns), rows)
    with replacing(out, force=force) as file:
        sheet.save(file, "PNG")


def contact_sheet(album: Album, rows: int) -> Image.Image:
    """Return the images of the first classes in a grid, one row per class.

    Args:
        album: The images. The largest class sets the number of columns; shorter rows end in white.
        rows: Number of classes to show.

    Raises:
        BadSettings: if the sheet would have more than ``MAX_PIXELS`` pixels.
    """
    shape = album.bundle.manifest.container.image
    factor = max(1, SIDE // shape.side)
    width, height = shape.width * factor + GAP, shape.height * factor + GAP
    size = (album.largest * width + GAP, rows * height + GAP)
    if size[0] * size[1] > MAX_PIXELS:
        raise BadSettings(
            f"a sheet of {size[0]} x {size[1]} pixels is too large; choose a smaller per_class"
        )
    mode = {1: "L", 4: "RGBA"}.get(shape.channels, "RGB")
    sheet = Image.new(mode, size, "white")
    for label, index, image in album:
        if label == rows:
            break
        enlarged = image.resize((width - GAP, height - GAP), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (GAP + index * width, GAP + label * height))
    return sheet
