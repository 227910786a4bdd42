"""Real images as JPEG files within a byte budget.

All JPEG files of one quality start with the same tables, which an archive could store once, just as
a bundle stores its header and manifest once. For small images these tables are most of the file.
Only the compressed image data of a JPEG file is therefore counted, just as only the tensors of a
bundle are.

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
"""Marks the last segment before the compressed image data."""


def jpeg_real(
    split: Split,
    classes: tuple[str, ...],
    budget: int,
    quality: int,
    generator: torch.Generator,
) -> TrainingSet:
    """Return random images of each class, compressed as JPEG, as many as fit the budget.

    Args:
        split: Real images of 1 or 3 channels.
        classes: Class names.
        budget: Most bytes of compressed image data in total, see :func:`scan_bytes`.
        quality: JPEG quality, 1 to 95.
        generator: Selects the images.

    Returns:
        The decoded images, equally many of every class (possibly none); ``bytes`` is the size of
        their compressed image data.
    """
    smallest = int(torch.bincount(split.labels, minlength=len(classes)).min())
    rounds = choose_per_class(split, smallest, generator, classes).view(len(classes), -1).t()
    chosen: list[Tensor] = []
    decoded: list[Tensor] = []
    used = 0
    for rows in rounds:
        files = [jpeg(image, quality) for image in split.pixels[rows]]
        size = sum(scan_bytes(file) for file in files)
        if used + size > budget:
            break
        used += size
        chosen.append(split.labels[rows])
        decoded += [from_jpeg(file) for file in files]
    if not chosen:
        return TrainingSet(split.pixels[:0], split.labels[:0], 0)
    return TrainingSet(torch.stack(decoded), torch.cat(chosen), used)


def jpeg(image: Tensor, quality: int) -> bytes:
    """Return the JPEG file of an image, uint8 [C, H, W] with 1 or 3 channels.

    Its tables are the standard ones scaled by the quality, so they are identical in all files of
    one shape and quality.
    """
    pixels = image.permute(1, 2, 0).numpy()
    file = BytesIO()
    encoded = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    encoded.save(file, "JPEG", quality=quality)
    return file.getvalue()


def scan_bytes(file: bytes) -> int:
    """Return the bytes of a JPEG file after its tables: its only scan and the end marker."""
    place, mark = len(_BEGIN), b""
    while mark != _SCAN:
        # A segment: a two-byte marker, then a two-byte length that includes itself.
        mark = file[place : place + 2]
        place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return len(file) - place


def from_jpeg(file: bytes) -> Tensor:
    """Decode a JPEG file to uint8 [C, H, W]."""
    pixels = np.array(Image.open(BytesIO(file)))
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()
