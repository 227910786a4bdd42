"""Distances between real and synthetic features: pure functions.

Shapes: K classes, D features.
"""

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
