"""Decoding of the images on a page; the only module of this package that uses tensors."""

import torch
from PIL import Image

from hmnpack.bundle import Bundle
from hmnpack.bundle.pictures import PNG_CHANNELS, pictures, png
from hmnpack.page.choice import Choice, by_class, by_margin, one_of_each
from hmnpack.page.gallery import Gallery, Strip, Wall


def gallery_of(bundle: Bundle) -> Gallery:
    """Decode the images that a page shows; their number and size are bounded."""
    manifest = bundle.manifest
    if manifest.container.image.channels not in PNG_CHANNELS:
        return Gallery()
    walls = [by_class(manifest)]
    if manifest.margins is not None:
        walls += by_margin(manifest, manifest.margins)
    return Gallery(*(_wall(bundle, choice) for choice in walls))


def strip_of(bundle: Bundle) -> Strip | None:
    """Return the first image of each class, side by side; None if PNG has no such channels."""
    manifest = bundle.manifest
    if manifest.container.image.channels not in PNG_CHANNELS:
        return None
    choice = one_of_each(manifest)
    positions = torch.tensor([row[0] for row in choice.rows])
    shown = [picture.reduce(choice.factor) for picture in pictures(bundle, positions)]
    width, height = shown[0].size
    strip = Image.new(shown[0].mode, (width * len(shown), height))
    for place, picture in enumerate(shown):
        strip.paste(picture, (place * width, 0))
    return Strip(*strip.size, len(shown), png(strip))


def _wall(bundle: Bundle, choice: Choice) -> Wall:
    positions = [position for row in choice.rows for position in row]
    found = {
        position: png(picture.reduce(choice.factor))
        for position, picture in zip(
            positions, pictures(bundle, torch.tensor(positions)), strict=True
        )
    }
    image = bundle.manifest.container.image
    return Wall(
        width=-(-image.width // choice.factor),
        height=-(-image.height // choice.factor),
        factor=choice.factor,
        rows=tuple(tuple((each, found[each]) for each in row) for row in choice.rows),
    )
