"""Decoding any number of images of a finished container, in a bounded amount of memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hmnpack.container.base import Container
from hmnpack.container.chunks import put_together
from hmnpack.errors import BadBundle


def decode(container: Container, indices: Tensor | None = None) -> Tensor:
    """Return images of a finished container.

    Args:
        container: What to decode.
        indices: Which images, int64 [n]; None for all of them.

    Returns:
        float32 [n, C, H, W], on the container's device.

    Raises:
        BadBundle: if a value is not finite, as of weights that are finite, but far too large.
    """
    if indices is None:
        indices = torch.arange(container.spec.images)
    return put_together(decoded_parts(container, indices), len(indices))


def decoded_parts(container: Container, indices: Tensor) -> Iterator[Tensor]:
    """Yield the same images, some at a time: float32 [m, C, H, W] each.

    Args:
        container: What to decode.
        indices: Which images, int64 [n].

    Raises:
        BadBundle: see :func:`decode`.
    """
    for images in container.parts(indices):
        if not images.isfinite().all():
            raise BadBundle(
                "the stored numbers are too large: they decode to infinities or to no numbers"
            )
        yield images
