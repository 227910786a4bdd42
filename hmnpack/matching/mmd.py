"""Maximum mean discrepancy: the distance of two distributions under a sum of Gaussian kernels.

Shapes: K classes, n real and m synthetic images of each, D features.
"""

import torch
from torch import Tensor

from hmnpack.matching.distances import unit_of

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the kernels, in units of the mean squared distance of two real images."""


def mmd(real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None) -> Tensor:
    """Return the squared maximum mean discrepancy, summed over classes.

    For each class ``mean k(r, r') - 2 mean k(r, s) + mean k(s, s')``, with the kernel ``k(x, y)``
    the sum over five bandwidths b of ``exp(-||x - y||^2 / b)``. These are a class's unit times a
    quarter to four, so that neither scale nor shift of the features matters.

    The biased estimate, pairs of an image with itself included: it is 0 for equal sets and never
    below (but for rounding), and what condensation practice uses (M3D). The unbiased one differs,
    for the synthetic images, in pushing them apart m / (m - 1) times as hard.

    Args:
        real_KnD: Features of each class's real images, [K, n, D].
        synthetic_KmD: Features of its synthetic images, [K, m, D].
        unit_K: What to measure each class's squared lengths in, [K]; None: ``unit_of`` its real
            images.

    Returns:
        A scalar, from 0 to 10 K.
    """
    unit_K = unit_of(real_KnD) if unit_K is None else unit_K
    # About the real mean: inner products then do not dwarf the distances taken from them.
    centre = real_KnD.mean(1, keepdim=True)
    real, synthetic = real_KnD - centre, synthetic_KmD - centre
    theirs, ours = real @ real.transpose(1, 2), synthetic @ synthetic.transpose(1, 2)
    between = real @ synthetic.transpose(1, 2)
    lengths = theirs.diagonal(dim1=1, dim2=2), ours.diagonal(dim1=1, dim2=2)
    within_K = mean_kernel(squared_distances(theirs, lengths[0], lengths[0]), unit_K)
    within_K = within_K + mean_kernel(squared_distances(ours, lengths[1], lengths[1]), unit_K)
    return (within_K - 2 * mean_kernel(squared_distances(between, *lengths), unit_K)).sum()


def mean_kernel(squares_Knm: Tensor, unit_K: Tensor) -> Tensor:
    """Return the mean over all pairs of images of a class of the sum of kernels: [K], from 0 to 5.

    Args:
        squares_Knm: Squared distance of each pair.
        unit_K: The squared unit of length.
    """
    squares_Knm = squares_Knm / unit_K[:, None, None]
    kernels = torch.stack([torch.exp(-squares_Knm / factor) for factor in FACTORS])
    return kernels.sum(0).mean((1, 2))


def squared_distances(products_Knm: Tensor, first_Kn: Tensor, second_Km: Tensor) -> Tensor:
    """Return the squared distance of every pair of images of a class, [K, n, m], 0 or more.

    From inner products: the difference of a pair is never held, and the gradient at equal points
    is 0, where that of a length would be none.

    Args:
        products_Knm: Inner product of each pair.
        first_Kn: Inner products of the first images with themselves.
        second_Km: The same of the second.
    """
    return (first_Kn[:, :, None] + second_Km[:, None, :] - 2 * products_Knm).clamp_min(0)
