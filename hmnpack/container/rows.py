"""The order of images in a container: grouped by class, in label order.

Shapes: K classes, N images.
"""

import torch
from torch import Tensor

from hmnpack.schema.container import ContainerSpec


def class_of(spec: ContainerSpec, indices: Tensor) -> Tensor:
    """Return the class of each image: int64, of the shape and on the device of the indices.

    Args:
        spec: The container.
        indices: Positions of images, int64, in [0, N).
    """
    if isinstance(spec.instances, int):
        return indices // spec.instances
    ends = torch.tensor(spec.instances, device=indices.device).cumsum(0)
    return torch.bucketize(indices, ends, right=True)


def first_of_each(spec: ContainerSpec, most: int) -> Tensor:
    """Return the positions of the first images of each class, ascending: int64, on the CPU.

    Args:
        spec: The container.
        most: Maximum number of images per class.
    """
    taken = torch.tensor(spec.counts).clamp(max=most)
    shifts = torch.tensor(spec.offsets) - (taken.cumsum(0) - taken)  # skips the other images
    return torch.arange(int(taken.sum())) + shifts.repeat_interleave(taken)
