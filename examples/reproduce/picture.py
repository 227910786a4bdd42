"""Draw the front page's picture: a file's images above as many real ones of the same classes.

    python examples/reproduce/picture.py --bundle examples/bundles/cifar10-jpeg-ipc1.hmn \
        --data DATA --output examples/pictures/cifar10-jpeg-ipc1.png

Nothing is picked: they are the first of each class, in the order of the file and of the data.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torchvision.transforms.functional import to_pil_image

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.pictures import png
from hmnpack.errors import BadData
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.instances import in_words
from hmnpack.sources import Source, open_source
from hmnpack.writers.base import Album

SIDE = 64
"""About how wide each picture is drawn, in pixels; small ones are enlarged by a whole factor."""

GAP = 3
BAND = 22
"""Height of a line of text, in pixels."""

FONT = ImageFont.load_default(12)
NEAREST = Image.Resampling.NEAREST
Grid = list[list[Image.Image]]
"""Pictures of each class."""


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument("--data", required=True, help="the real images it was made from")
    parser.add_argument("--output", type=Path, required=True, help="the PNG to be")
    parser.add_argument("--each", type=int, default=3, help="pictures of each class, of each kind")
    parser.add_argument("--classes", type=int, default=10, help="how many classes, the first ones")
    args = parser.parse_args()
    bundle, source = read(args.bundle), open_source(args.data)
    if source.train.fingerprint != bundle.manifest.source.fingerprint:
        raise BadData(f"{args.bundle} was not made from {args.data}; name the same data")
    names = bundle.manifest.classes[: args.classes]
    sheet = draw_sheet(names, blocks(args.bundle.stat().st_size, bundle, source, args.each))
    write_atomically(args.output, png(sheet), force=True)
    print(f"{args.output}: {sheet.width} x {sheet.height}, {args.output.stat().st_size:,} bytes")


def blocks(size: int, bundle: Bundle, source: Source, each: int) -> dict[str, Grid]:
    """Return the first pictures of each class by caption: the file's, then real ones.

    Args:
        size: Of the file, in bytes.
        bundle: What is in it.
        source: The data set that it was made from.
        each: How many of each class.
    """
    there = in_words(bundle.manifest.container.instances)
    ours = f"condensed: {each} of {there} images per class; all are in {size / 1000:,.0f} kB"
    theirs = f"real: {each} per class, of {len(source.train):,} training images"
    return {ours: condensed(bundle, each), theirs: real(source, each)}


def condensed(bundle: Bundle, each: int) -> Grid:
    """Return the first pictures of each class of a bundle."""
    grid: Grid = [[] for _ in bundle.manifest.classes]
    for label, _, picture in Album(bundle, each):
        grid[label].append(picture)
    return grid


def real(source: Source, each: int) -> Grid:
    """Return the first training images of each class of a data set."""
    split = source.train
    rows = [(split.labels == label).nonzero()[:each, 0] for label in range(len(source.classes))]
    return [[to_pil_image(image) for image in split.images[chosen]] for chosen in rows]


def draw_sheet(names: Sequence[str], grids: dict[str, Grid]) -> Image.Image:
    """Return blocks of pictures, each under its caption; a column is a class.

    Args:
        names: Of the classes that are shown, the first ones; written above their columns.
        grids: By caption; the pictures of each class.
    """
    tile = next(iter(grids.values()))[0][0]
    factor = max(1, SIDE // max(tile.size))
    width, height = (side * factor + GAP for side in tile.size)
    block = BAND + max(len(row) for grid in grids.values() for row in grid) * height
    size = (len(names) * width + GAP, BAND + len(grids) * block + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        middle = (GAP + column * width + (width - GAP) // 2, BAND // 2)
        draw.text(middle, _fitted(name, width), fill="black", font=FONT, anchor="mm")
    for number, (caption, grid) in enumerate(grids.items()):
        top = BAND + number * block
        draw.text((GAP, top + BAND // 2), caption, fill="dimgrey", font=FONT, anchor="lm")
        for column, pictures in enumerate(grid[: len(names)]):
            for row, picture in enumerate(pictures):
                place = (GAP + column * width, top + BAND + row * height)
                sheet.paste(picture.resize((width - GAP, height - GAP), NEAREST), place)
    return sheet


def _fitted(name: str, width: int) -> str:
    """Return as much of a name as a column has room for."""
    shown = name
    while FONT.getlength(shown) > width and name:
        name = name[:-1]
        shown = f"{name}..."
    return shown


if __name__ == "__main__":
    main()
