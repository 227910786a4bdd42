"""Decoding of the images on a page; the only module of this package that uses tensors."""

import torch

from hmnpack.bundle import Bundle
from hmnpack.bundle.pictures import PNG_CHANNELS, pictures, png
from hmnpack.page.choice import Choice, by_class, by_margin
from hmnpack.page.gallery import Gallery, Wall


def gallery_of(bundle: Bundle) -> Gallery:
    """Decode the images that a page shows; their number and size are bounded."""
    manifest = bundle.manifest
    if manifest.container.image.channels not in PNG_CHANNELS:
        return Gallery()
    walls = [by_class(manifest)]
    if manifest.margins is not None:
        walls += by_margin(manifest, manifest.margins)
    return Gallery(*(_wall(bundle, choice) for choice in walls))


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
