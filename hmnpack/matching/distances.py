"""Distances between real and synthetic features, and between gradients: pure functions.

Every distance of features has one signature, ``Distance``; the mean's is here, the other one has a
file of its own (``characteristic``).

Shapes: K classes, n real and m synthetic images of each, D features.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

_ALIKE = 1e-10
_SMALLEST = 1e-30


class Distance(Protocol):
    """How far synthetic features are from real ones: a float32 scalar, summed over classes.

    It depends on the images of a class as on a set: their order and number do not matter. Where
    the features are the same it is the least, and its gradient is finite everywhere.
    """

    def __call__(
        self, real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None
    ) -> Tensor:
        """Return the distance; it can be differentiated in the synthetic features.

        Args:
            real_KnD: Features of each class's real images, [K, n, D].
            synthetic_KmD: Features of its synthetic images, [K, m, D].
            unit_K: What to measure each class's squared lengths in, [K], above 0; None: what the
                distance takes by itself.
        """


def mean_distance(real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None) -> Tensor:
    """Return the squared distance of the class means, summed over classes and features.

    The objective of distribution matching: the sum over c of
    ``||mean phi(T_c) - mean phi(S_c)||^2``.

    Args:
        real_KnD: Features of each class's real images, [K, n, D]; their mean will do, as one image.
        synthetic_KmD: The same of its synthetic images, [K, m, D].
        unit_K: Squared unit of length of each class, [K]; None: 1, the features' own.

    Returns:
        A scalar, 0 or more.
    """
    squares_KD = (real_KnD.mean(1) - synthetic_KmD.mean(1)).square()
    return (squares_KD if unit_K is None else squares_KD / unit_K[:, None]).sum()


def spread(
    means_KD: Tensor, distance: Distance = mean_distance, unit_K: Tensor | None = None
) -> Tensor:
    """Return the distance of the class means from their own mean, summed likewise.

    Dividing by it makes the distance of a block the part of the difference between classes that
    the synthetic images miss, whatever the scale and number of the block's features.

    Args:
        means_KD: Mean feature of each class, [K, D].
        distance: What measures; it is given each mean as the one image of its class.
        unit_K: The unit that the distance of the features is measured in, [K], or None.

    Returns:
        A scalar, 0 or more; for one class the least that the distance gives, of the mean 0.
    """
    centre_11D = means_KD.mean(0, keepdim=True).unsqueeze(1)
    means_K1D = means_KD.unsqueeze(1)
    return distance(means_K1D, centre_11D.expand_as(means_K1D), unit_K)


def unit_of(real_KnD: Tensor) -> Tensor:
    """Return the mean squared distance of two real images of each class: a squared unit of length.

    Where all real images of a class are alike (or there is one) it is their squared length, so
    that the unit always grows with the square of the features' scale; where they are 0, it is 1.

    Args:
        real_KnD: Features of each class's real images, [K, n, D].

    Returns:
        [K], above 0.
    """
    count = real_KnD.shape[1]
    around = real_KnD - real_KnD.mean(1, keepdim=True)
    # A norm holds no squares, of which a first block has very many.
    apart = torch.linalg.vector_norm(around, dim=(1, 2)).square() * 2 / max(1, count - 1)
    size = torch.linalg.vector_norm(real_KnD, dim=(1, 2)).square() / count
    unit = torch.where(apart > _ALIKE * size, apart, size)
    return torch.where(unit > _SMALLEST, unit, 1)


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
