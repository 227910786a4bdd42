"""Distances between real and synthetic features, and between gradients.

The feature distances are implemented in the modules ``means`` and ``characteristic``.

Shapes: K classes, n real and m synthetic images of each, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F


class Distance(ABC):
    """A distance between the real and the synthetic features of one block.

    It treats the images of a class as a set: their order and number do not matter. It is minimal
    where the features are equal, and its gradient is finite everywhere.
    """

    needs_every_image: ClassVar[bool] = False
    """Whether it needs the features of every real image, and a unit of length. Otherwise the class
    means suffice, each passed as one image."""

    largest_side: ClassVar[int] = 0
    """Larger feature maps are average-pooled to this side before comparison; 0: no pooling."""

    @classmethod
    def drawn(cls, real_KnD: Tensor, generator: torch.Generator) -> Self:
        """Return the distance for one view and block.

        Args:
            real_KnD: The block's real features; only their device and D are used.
            generator: CPU generator, the same for all classes and ranks.
        """
        del real_KnD, generator  # a distance without random numbers
        return cls()

    @property
    def bytes(self) -> int:
        """Bytes of the tensors that it holds."""
        return 0

    @abstractmethod
    def __call__(
        self, real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None
    ) -> Tensor:
        """Return the distance, summed over classes: a scalar, differentiable in the synthetic side.

        Args:
            real_KnD: Features of each class's real images, float32 [K, n, D].
            synthetic_KmD: Features of its synthetic images, float32 [K, m, D].
            unit_K: Squared unit of length of each class, [K], above 0; None: the distance's
                default.
        """


def class_features(block: Tensor, classes: int, largest_side: int = 0) -> Tensor:
    """Return a block's outputs class by class, average-pooled to a grid if the map is too large.

    Cells have equal integer sides; the last of a row or column may be smaller.

    Args:
        block: [K * n, C, h, w], class by class.
        classes: Number of classes K.
        largest_side: Largest side of a map that is not pooled; 0: any.

    Returns:
        [K, n, D].
    """
    height, width = block.shape[2:]
    if largest_side and max(height, width) > largest_side:
        cell = (-(-height // largest_side), -(-width // largest_side))
        block = F.avg_pool2d(block.float(), cell, ceil_mode=True, count_include_pad=False)
    by_class: Tensor = block.flatten(1).unflatten(0, (classes, -1))
    return by_class


def spread(means_KD: Tensor, distance: Distance, unit_K: Tensor | None = None) -> Tensor:
    """Return the distance between the class means and their common mean, summed over classes.

    A block's distance divided by the spread is the fraction of the differences between classes
    that the synthetic images miss, independent of the scale and number of the block's features.

    Args:
        means_KD: Mean feature of each class, [K, D].
        distance: Distance; called with each mean as the only image of its class.
        unit_K: Squared unit of length of the feature distance, [K], or None.

    Returns:
        A scalar, 0 or more; for one class the minimum of the distance.
    """
    centre_11D = means_KD.mean(0, keepdim=True).unsqueeze(1)
    means_K1D = means_KD.unsqueeze(1)
    return distance(means_K1D, centre_11D.expand_as(means_K1D), unit_K)


def squared_error(difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of squares of a difference of gradients, and its derivative (same shape)."""
    return difference.square().sum(), 2 * difference


def absolute_error(difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of absolute values, and its derivative: the signs, 0 at 0."""
    return difference.abs().sum(), difference.sign()


GRADIENT_DISTANCES: dict[Literal["mse", "l1"], Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "mse": squared_error,
    "l1": absolute_error,
}
"""Setting -> distance of one layer's gradients; it is summed over layers and classes (equation 2 of
the paper)."""
