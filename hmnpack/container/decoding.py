"""Decoding any number of images in a bounded amount of memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hmnpack.container.base import Container
from hmnpack.errors import BadBundle
from hmnpack.schema.container import ContainerSpec, HmnSpec

CHUNK_ELEMENTS = 2**26
"""Numbers of the largest layer, over all images that are decoded at a time (256 MiB)."""


@torch.no_grad()
def decode(container: Container, indices: Tensor | None = None) -> Tensor:
    """Return images of a finished container.

    Args:
        container: What to decode.
        indices: Which images, int64 [n]; None for all of them.

    Returns:
        float32 [n, C, H, W], on the container's device.

    Raises:
        BadBundle: if a value is not finite, as of weights that are, but far too large.
    """
    if indices is None:
        indices = torch.arange(container.spec.images)
    first, *later = in_chunks(container.spec, indices)
    images = _finite(container.expand(first))
    if not later:
        return images
    # Filled part by part: joined in the end, all of it would be there twice.
    found, size = images.new_empty(len(indices), *images.shape[1:]), len(first)
    found[:size] = images
    for place, part in enumerate(later, 1):
        found[place * size :][: len(part)] = _finite(container.expand(part))
    return found


def _finite(images: Tensor) -> Tensor:
    if not images.isfinite().all():
        raise BadBundle(
            "the stored numbers are too large: they decode to infinities or to no numbers"
        )
    return images


def in_chunks(spec: ContainerSpec, indices: Tensor) -> Iterator[Tensor]:
    """Split indices so that decoding one part takes a bounded amount of memory."""
    largest = spec.image.elements
    if isinstance(spec, HmnSpec):
        largest = max(largest, spec.largest_layer)
    return iter(torch.split(indices, max(1, CHUNK_ELEMENTS // largest)))
