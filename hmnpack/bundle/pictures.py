"""Conversion of decoded images to 8 bits and PNG; the only place where they are rounded."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from hmnpack.bundle.bundle import Bundle
from hmnpack.container import container_of, decoded_parts, first_of_each
from hmnpack.errors import BadSettings
from hmnpack.runtime.numbers import as_integer
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.instances import in_words

PNG_CHANNELS = (1, 3, 4)
"""Greyscale, RGB, RGBA."""


def positions(spec: ContainerSpec, per_class: int | None) -> Tensor:
    """Return the positions of the first images of each class, class by class, as int64.

    Args:
        spec: Specification of the container.
        per_class: Images per class; a class with fewer images contributes all of them. None: all.

    Raises:
        BadSettings: if it is not an integer from 1 to the size of the largest class.
    """
    count = spec.largest if per_class is None else as_integer(per_class)
    if not isinstance(count, int) or not 1 <= count <= spec.largest:
        raise BadSettings(
            f"per_class is {count}, but classes have {in_words(spec.instances)} images: give an "
            f"integer from 1 to {spec.largest}"
        )
    return first_of_each(spec, count)


def to_uint8(images: Tensor) -> Tensor:
    """Return ``round(255 * clamp(x, 0, 1))`` as uint8 of the same shape, on the CPU."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def pixels(bundle: Bundle, indices: Tensor) -> Iterator[Tensor]:
    """Decode images in batches of bounded size: uint8 [n, H, W, C], on the CPU."""
    container = container_of(bundle.manifest.container, bundle.tensors)
    for images in decoded_parts(container, indices):
        yield to_uint8(images).permute(0, 2, 3, 1).contiguous()


def picture(image: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image as a PIL image.

    Args:
        image: uint8 [H, W, C].

    Raises:
        BadSettings: if PNG does not support the number of channels.
    """
    channels = image.shape[2]
    check_channels(channels)
    return Image.fromarray(image[..., 0] if channels == 1 else image)


def check_channels(channels: int) -> None:
    """Check that PNG supports images with this number of channels.

    Raises:
        BadSettings: if it does not.
    """
    if channels not in PNG_CHANNELS:
        raise BadSettings(
            f"cannot write images with {channels} channels as PNG (1, 3 or 4 are supported)"
        )


def pictures(bundle: Bundle, indices: Tensor) -> Iterator[Image.Image]:
    """Decode images as an iterator of PIL images, in batches of bounded size.

    Raises:
        BadSettings: if PNG does not support the number of channels.
    """
    check_channels(bundle.manifest.container.image.channels)
    for images in pixels(bundle, indices):
        for image in images.numpy():
            yield picture(image)


def png(picture: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file."""
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
