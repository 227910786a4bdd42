"""Decoded images as 8-bit pictures: the one place where they are rounded."""

from collections.abc import Iterator
from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

from hmnpack.bundle.bundle import Bundle
from hmnpack.container import container_of, decoded_parts, first_of_each
from hmnpack.errors import BadSettings
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.instances import in_words

PNG_CHANNELS = (1, 3, 4)
"""Grey, colour, colour with opacity."""


def positions(spec: ContainerSpec, per_class: int | None) -> Tensor:
    """Return the positions of the first images of each class, class by class: int64.

    Args:
        spec: Of the container.
        per_class: How many of each class, or all of a class that has fewer; None for all.

    Raises:
        BadSettings: if no class has as many.
    """
    count = spec.largest if per_class is None else per_class
    if not isinstance(count, int) or not 1 <= count <= spec.largest:
        raise BadSettings(
            f"per_class is {count}; a class has {in_words(spec.instances)} images: give an integer "
            f"from 1 to {spec.largest}"
        )
    return first_of_each(spec, count)


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
    for images in decoded_parts(container, indices):
        for pixels in to_uint8(images):
            array = pixels[0] if channels == 1 else pixels.permute(1, 2, 0).contiguous()
            yield Image.fromarray(array.numpy())


def png(picture: Image.Image) -> bytes:
    """Return the bytes of a PNG file."""
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
