"""The nearest pairs of a synthetic and a real image, and a picture of them.

Shape legend: C channels, H height, W width.
"""

from base64 import b64encode
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from hmnpack.bundle.pictures import PNG_CHANNELS, picture, png
from hmnpack.schema.audit import Pair
from hmnpack.sources import Split

SHOWN = 10
"""Number of pairs."""

_SIDE = 64
"""Side in pixels that images are shown with, at least half and at most twice, where possible."""

_GAP = 2


def nearest_pairs(labels: Tensor, indices: Tensor, distances: Tensor, real: Split) -> list[Pair]:
    """Return the nearest pairs, nearest first; those of equal distance in the order of the file.

    Args:
        labels: Classes of the synthetic images, int64 [N].
        indices: Nearest real image of each, int64 [N].
        distances: The distances, float64 [N].
        real: The real images.
    """
    order = distances.argsort(stable=True)[:SHOWN].tolist()
    return [
        Pair(
            image=image,
            label=int(labels[image]),
            real_sha256=real.digests[index].numpy().tobytes().hex(),
            real_label=int(real.labels[index]),
            distance=float(distances[image]),
        )
        for image, index in zip(order, indices[order].tolist(), strict=True)
    ]


def picture_of(pairs: Sequence[Pair], synthetic: Tensor, real: Tensor) -> str | None:
    """Return pairs as a PNG file in base64: synthetic images above the real ones.

    Args:
        pairs: The pairs.
        synthetic: All synthetic images, uint8 [N, C, H, W].
        real: The real image of each pair, uint8 [P, C, H, W].

    Returns:
        The picture; None if PNG does not support the number of channels.
    """
    if synthetic.shape[1] not in PNG_CHANNELS:
        return None
    rows = synthetic[[pair.image for pair in pairs]], real
    shown = [[_shown(image) for image in row] for row in rows]
    width, height = (side + _GAP for side in shown[0][0].size)
    sheet = Image.new(shown[0][0].mode, (len(pairs) * width - _GAP, 2 * height - _GAP), "white")
    for line, row in enumerate(shown):
        for place, image in enumerate(row):
            sheet.paste(image, (place * width, line * height))
    return b64encode(png(sheet)).decode()


def _shown(image: Tensor) -> Image.Image:
    """Return an image [C, H, W], enlarged or reduced by an integer factor to about 64 pixels."""
    made = picture(image.permute(1, 2, 0).contiguous().to(torch.uint8).numpy())
    side = max(made.size)
    if side > _SIDE:
        return made.reduce(-(-side // _SIDE))
    factor = max(1, _SIDE // side)
    return made.resize((made.width * factor, made.height * factor), Image.Resampling.NEAREST)
