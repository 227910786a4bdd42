"""Real images as JPEG files: as many as a number of bytes holds.

All files of a quality begin with the same tables, which an archive would hold once, as a bundle has
its header and manifest once; for small images they are most of a file. So what is counted of a JPEG
file is the picture alone, as of a bundle its tensors alone are.

Shape legend: N images, K classes, C channels, H height, W width.
"""

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmnpack.evaluation.bench import TrainingSet
from hmnpack.sources import Split, choose_per_class

_BEGIN = b"\xff\xd8"
_SCAN = b"\xff\xda"
"""Marks the last segment before the picture."""


def jpeg_real(
    split: Split,
    classes: tuple[str, ...],
    budget: int,
    quality: int,
    generator: torch.Generator,
) -> TrainingSet:
    """Return random images of each class as JPEG shows them, as many as the budget holds.

    Args:
        split: Real images of 1 or 3 channels.
        classes: Class names.
        budget: Bytes that all pictures together may take, see :func:`picture_bytes`.
        quality: Of the encoder, 1 to 95.
        generator: Draws which images.

    Returns:
        The same number of every class (perhaps none), decoded; their size is that of the pictures.
    """
    smallest = int(torch.bincount(split.labels, minlength=len(classes)).min())
    rounds = choose_per_class(split, smallest, generator, classes).view(len(classes), -1).t()
    chosen: list[Tensor] = []
    decoded: list[Tensor] = []
    used = 0
    for rows in rounds:
        files = [jpeg(image, quality) for image in split.images[rows]]
        size = sum(picture_bytes(file) for file in files)
        if used + size > budget:
            break
        used += size
        chosen.append(split.labels[rows])
        decoded += [from_jpeg(file) for file in files]
    if not chosen:
        return TrainingSet(split.images[:0], split.labels[:0], 0)
    return TrainingSet(torch.stack(decoded), torch.cat(chosen), used)


def jpeg(image: Tensor, quality: int) -> bytes:
    """Return the JPEG file of an image, uint8 [C, H, W] with 1 or 3 channels.

    Its tables are the standard's, scaled by the quality: the same in all files of one shape.
    """
    pixels = image.permute(1, 2, 0).numpy()
    file = BytesIO()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def picture_bytes(file: bytes) -> int:
    """Return how many bytes a JPEG file has after its tables: its one scan, and the end mark."""
    place, mark = len(_BEGIN), b""
    while mark != _SCAN:
        # A segment: two bytes of mark, two that count themselves and what follows.
        mark = file[place : place + 2]
        place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return len(file) - place


def from_jpeg(file: bytes) -> Tensor:
    """Return the image of a JPEG file, uint8 [C, H, W]."""
    pixels = np.array(Image.open(BytesIO(file)))
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()
