"""Decoding any number of images of a finished container in bounded memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hmnpack.container.base import Container
from hmnpack.container.chunks import concatenate_parts
from hmnpack.errors import BadBundle


def decode(container: Container, indices: Tensor | None = None) -> Tensor:
    """Decode images of a finished container.

    Args:
        container: The container.
        indices: Indices of the images, int64 [n]; None for all.

    Returns:
        float32 [n, C, H, W], on the container's device.

    Raises:
        BadBundle: if a pixel is not finite, for example because finite weights are far too large.
    """
    if indices is None:
        indices = torch.arange(container.spec.images)
    return concatenate_parts(decoded_parts(container, indices), len(indices))


def decoded_parts(container: Container, indices: Tensor) -> Iterator[Tensor]:
    """Decode like :func:`decode`, but yield chunks of images: float32 [m, C, H, W].

    Args:
        container: The container.
        indices: Indices of the images, int64 [n].

    Raises:
        BadBundle: see :func:`decode`.
    """
    for images in container.parts(indices):
        if not images.isfinite().all():
            raise BadBundle(
                "the stored floats are too large: they decode to infinite or NaN pixels; "
                "compress the dataset again"
            )
        yield images
