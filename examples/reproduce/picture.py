"""Draw the README's image: condensed images of a file above real ones of the same classes.

    python examples/reproduce/picture.py --bundle examples/bundles/cifar10-jpeg-ipc1.hmn \
        --data DATA --output examples/pictures/cifar10-jpeg-ipc1.png

The images are not hand-picked: they are the first of each class, in file and dataset order.
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
"""Approximate size of a drawn image in pixels; small images are enlarged by an integer factor."""

GAP = 3
BAND = 22
"""Height of a line of text, in pixels."""

FONT = ImageFont.load_default(12)
NEAREST = Image.Resampling.NEAREST
Grid = list[list[Image.Image]]
"""Images by class."""


def main() -> None:
    """Draw and write the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument("--data", required=True, help="the dataset that the file was made from")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--each", type=int, default=3, help="condensed, and real, images per class")
    parser.add_argument("--classes", type=int, default=10, help="number of classes to show")
    args = parser.parse_args()
    bundle, source = read(args.bundle), open_source(args.data)
    if source.train.fingerprint != bundle.manifest.source.fingerprint:
        raise BadData(
            f"{args.bundle} was not made from {args.data}; give the dataset it was made from"
        )
    names = bundle.manifest.classes[: args.classes]
    sheet = draw_sheet(names, blocks(args.bundle.stat().st_size, bundle, source, args.each))
    write_atomically(args.output, png(sheet), force=True)
    print(f"{args.output}: {sheet.width} x {sheet.height}, {args.output.stat().st_size:,} bytes")


def blocks(size: int, bundle: Bundle, source: Source, each: int) -> dict[str, Grid]:
    """Return the first images of each class by caption: condensed ones, then real ones.

    Args:
        size: File size in bytes.
        bundle: The file's content.
        source: The dataset that it was made from.
        each: Images per class.
    """
    there = in_words(bundle.manifest.container.instances)
    ours = f"condensed: {each} of {there} images per class; all are in {size / 1000:,.0f} kB"
    theirs = f"real: {each} per class, of {len(source.train):,} training images"
    return {ours: condensed(bundle, each), theirs: real(source, each)}


def condensed(bundle: Bundle, each: int) -> Grid:
    """Return the first images of each class of a bundle."""
    grid: Grid = [[] for _ in bundle.manifest.classes]
    for label, _, image in Album(bundle, each):
        grid[label].append(image)
    return grid


def real(source: Source, each: int) -> Grid:
    """Return the first training images of each class of a dataset."""
    split = source.train
    rows = [(split.labels == label).nonzero()[:each, 0] for label in range(len(source.classes))]
    return [[to_pil_image(image) for image in split.images[chosen]] for chosen in rows]


def draw_sheet(names: Sequence[str], grids: dict[str, Grid]) -> Image.Image:
    """Return blocks of images under captions; each column is a class.

    Args:
        names: Names of the first classes, which are drawn as column headings.
        grids: Images of each class, by caption.
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
        for column, images in enumerate(grid[: len(names)]):
            for row, image in enumerate(images):
                place = (GAP + column * width, top + BAND + row * height)
                sheet.paste(image.resize((width - GAP, height - GAP), NEAREST), place)
    return sheet


def _fitted(name: str, width: int) -> str:
    """Return a name, truncated to the width of a column."""
    shown = name
    while FONT.getlength(shown) > width and name:
        name = name[:-1]
        shown = f"{name}..."
    return shown


if __name__ == "__main__":
    main()
