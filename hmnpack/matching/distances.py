"""Distances between real and synthetic features, and between gradients: pure functions.

Shapes: K classes, D features.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor


def mean_distance(real_KD: Tensor, synthetic_KD: Tensor) -> Tensor:
    """Return the squared distance of the class means, summed over classes and features.

    The objective of distribution matching: the sum over c of
    ``||mean phi(T_c) - mean phi(S_c)||^2``.

    Args:
        real_KD: Mean feature of each class's real images, [K, D].
        synthetic_KD: The same of its synthetic images, [K, D].

    Returns:
        A scalar, 0 or more.
    """
    return (real_KD - synthetic_KD).square().sum()


def spread(means_KD: Tensor) -> Tensor:
    """Return the squared distance of the class means from their own mean, summed likewise.

    Dividing by it makes the distance of a block the part of the difference between classes that
    the synthetic images miss, whatever the scale and number of the block's features.

    Args:
        means_KD: Mean feature of each class, [K, D].

    Returns:
        A scalar, 0 or more; 0 for one class.
    """
    return (means_KD - means_KD.mean(0, keepdim=True)).square().sum()


def squares(difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of squares of a difference of gradients, and its derivative (same shape)."""
    return difference.square().sum(), 2 * difference


def absolutes(difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of absolute values, and its derivative: the signs, 0 at 0."""
    return difference.abs().sum(), difference.sign()


GRADIENT_DISTANCES: dict[Literal["mse", "l1"], Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "mse": squares,
    "l1": absolutes,
}
"""Setting -> distance of one layer's gradients; layers and classes add up (paper equation 2)."""
