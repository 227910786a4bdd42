"""Decoded images as 8-bit pictures: the one place where they are rounded."""

from collections.abc import Iterator
from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

from hmnpack.bundle import Bundle
from hmnpack.container import container_of, decode, in_chunks
from hmnpack.errors import BadSettings
from hmnpack.schema.container import ContainerSpec

PNG_CHANNELS = (1, 3, 4)
"""Grey, colour, colour with opacity."""


def positions(spec: ContainerSpec, per_class: int | None) -> Tensor:
    """Return the images that are a prefix of each class: int64 [K * per_class], class by class.

    Args:
        spec: Of the container.
        per_class: How many of each class, or None for all.

    Raises:
        BadSettings: if there are not as many.
    """
    count = spec.instances if per_class is None else per_class
    if not isinstance(count, int) or not 1 <= count <= spec.instances:
        raise BadSettings(f"per_class is {count}; each class has 1 to {spec.instances} images")
    starts = torch.arange(spec.classes)[:, None] * spec.instances
    return (starts + torch.arange(count)).flatten()


def to_uint8(images: Tensor) -> Tensor:
    """Return ``round(255 clamp(x, 0, 1))``, as uint8 of the same shape on the CPU."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def pictures(bundle: Bundle, indices: Tensor) -> Iterator[Image.Image]:
    """Decode images one after the other, a bounded number at a time.

    Raises:
        BadSettings: if a PNG cannot have that number of channels.
    """
    channels = bundle.manifest.container.image.channels
    if channels not in PNG_CHANNELS:
        raise BadSettings(f"images of {channels} channels have no PNG; 1, 3 or 4 have")
    container = container_of(bundle.manifest.container, bundle.tensors)
    for part in in_chunks(container.spec, indices):
        for pixels in to_uint8(decode(container, part)):
            array = pixels[0] if channels == 1 else pixels.permute(1, 2, 0).contiguous()
            yield Image.fromarray(array.numpy())


def png(picture: Image.Image) -> bytes:
    """Return the bytes of a PNG file."""
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
