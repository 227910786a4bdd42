"""Chunk sizes for decoding without gradients, and the concatenation of chunks.

With gradients all images are decoded at once, since their graph has to stay in memory anyway.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from hmnpack.schema.container import ContainerSpec, HmnSpec

CHUNK_ELEMENTS = 2**26
"""Maximum elements of the largest layer, over all images of a chunk (256 MiB in float32)."""

CPU_IMAGES = 128
"""Maximum images of a chunk on a CPU, so that the layers stay in its cache."""


def images_at_a_time(spec: ContainerSpec, device: torch.device) -> int:
    """Return how many images to decode at a time, at least 1.

    Args:
        spec: The container.
        device: Device that decodes it.
    """
    largest = spec.image.elements
    if isinstance(spec, HmnSpec):
        largest = max(largest, spec.largest_layer)
    bound = max(1, CHUNK_ELEMENTS // largest)
    return min(bound, CPU_IMAGES) if device.type == "cpu" else bound


def concatenate_parts(parts: Iterable[Tensor], count: int) -> Tensor:
    """Concatenate the images of all parts: [count, C, H, W].

    The result is filled part by part; ``torch.cat`` at the end would hold all images twice.

    Args:
        parts: Images [n, C, H, W], at least one part.
        count: Total number of images.
    """
    images: Tensor | None = None
    start = 0
    for part in parts:
        if len(part) == count:
            return part
        if images is None:
            images = part.new_empty(count, *part.shape[1:])
        images[start : start + len(part)] = part
        start += len(part)
    assert images is not None  # noqa: S101 - there is at least one part
    return images
