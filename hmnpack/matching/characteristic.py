"""The distance of two distributions by their characteristic functions at random frequencies.

Shapes: K classes, n real and m synthetic images of each, D features, T frequencies.
"""

import torch
from torch import Tensor

from hmnpack.matching.distances import unit_of

_LEAST = 1e-12
"""Least squared difference: the slope of its root stays finite."""


def draw_frequencies(count: int, features: int, generator: torch.Generator) -> Tensor:
    """Return frequencies [T, D], in units of 1 / length: independent standard normal numbers.

    Args:
        count: Number of frequencies T.
        features: Number of features D.
        generator: CPU generator that they are drawn from.
    """
    return torch.randn(count, features, generator=generator)


def characteristic_distance(
    real_KnD: Tensor,
    synthetic_KmD: Tensor,
    unit_K: Tensor | None = None,
    *,
    frequencies_TD: Tensor,
    phase: float = 0.5,
) -> Tensor:
    """Return the distance of the characteristic functions, summed over classes (as in NCFM).

    For each class the mean over frequencies of
    ``sqrt((1 - phase) * amplitude + phase * rotation)``, with ``amplitude`` the squared difference
    of the two functions' absolute values and ``rotation`` the rest of their squared difference,
    ``2 |f_r| |f_s| (1 - cos angle)``. Frequencies are divided by the unit of length, where NCFM
    brings every feature vector to length 1: neither scale nor shift of the features matters. It is
    no square: near its least value of 1e-6 a class it grows as a length does.

    Args:
        real_KnD: Features of each class's real images, [K, n, D].
        synthetic_KmD: Features of its synthetic images, [K, m, D].
        unit_K: What to measure each class's squared lengths in, [K]; None: ``unit_of`` its real
            images.
        frequencies_TD: In units of 1 / length, [T, D]; see :func:`draw_frequencies`.
        phase: Weight of the rotation, from 0 to 1.

    Returns:
        A scalar, from 0 to 2 K.
    """
    unit_K = unit_of(real_KnD) if unit_K is None else unit_K
    # A common shift turns both functions alike; about the real mean angles are small and precise.
    centre, length = real_KnD.mean(1, keepdim=True), unit_K.sqrt()[:, None, None]
    real = characteristic_function((real_KnD - centre) / length, frequencies_TD)
    synthetic = characteristic_function((synthetic_KmD - centre) / length, frequencies_TD)
    whole = (real[0] - synthetic[0]).square() + (real[1] - synthetic[1]).square()
    amplitude = (_absolute(*real) - _absolute(*synthetic)).square()
    rotation = (whole - amplitude).clamp_min(0)
    squares_KT = (1 - phase) * amplitude + phase * rotation
    return squares_KT.clamp_min(_LEAST).sqrt().mean(1).sum()


def characteristic_function(features_KnD: Tensor, frequencies_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of ``exp(i t x)`` over each class's images: its real and imaginary part.

    Args:
        features_KnD: [K, n, D].
        frequencies_TD: [T, D].

    Returns:
        Two tensors [K, T], from -1 to 1.
    """
    angles_KnT = features_KnD @ frequencies_TD.T
    return angles_KnT.cos().mean(1), angles_KnT.sin().mean(1)


def _absolute(real: Tensor, imaginary: Tensor) -> Tensor:
    return (real.square() + imaginary.square()).clamp_min(_LEAST).sqrt()
