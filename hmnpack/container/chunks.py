"""How many images are decoded at a time where no gradient is wanted, and how they are put together.

With a gradient all images are decoded at once: their graph has to stay in memory anyway.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from hmnpack.schema.container import ContainerSpec, HmnSpec

CHUNK_ELEMENTS = 2**26
"""Numbers of the largest layer, over all images that are decoded at a time (256 MiB)."""

CPU_IMAGES = 128
"""Most images at a time on a CPU: the layers then stay in its cache."""


def images_at_a_time(spec: ContainerSpec, device: torch.device) -> int:
    """Return how many images are decoded at a time: 1 or more.

    Args:
        spec: The container.
        device: Where it is decoded.
    """
    largest = spec.image.elements
    if isinstance(spec, HmnSpec):
        largest = max(largest, spec.largest_layer)
    bound = max(1, CHUNK_ELEMENTS // largest)
    return min(bound, CPU_IMAGES) if device.type == "cpu" else bound


def put_together(parts: Iterable[Tensor], count: int) -> Tensor:
    """Return the images of all parts in one tensor, [count, C, H, W].

    It is filled part by part: if the parts were joined at the end, all images would be in memory
    twice.

    Args:
        parts: Images [n, C, H, W], one part or more.
        count: Number of images in all parts together.
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
    assert images is not None  # noqa: S101 - there is a part
    return images
