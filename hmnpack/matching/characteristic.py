"""The distance between characteristic functions: the objective ``characteristic``.

Shapes: K classes, n real and m synthetic images of each, D features, T frequencies.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from hmnpack.matching.distances import Distance
from hmnpack.matching.footprint import FREQUENCIES, GRIDS
from hmnpack.runtime.devices import to_device

_LEAST = 1e-12
"""Lower bound of squared differences, so that the gradient of the square root stays finite."""

_ALIKE = 1e-10
_SMALLEST = 1e-30


@dataclass(frozen=True)
class CharacteristicDistance(Distance):
    """The distance between the two characteristic functions, summed over classes (as in NCFM).

    For each class it is the mean over frequencies of
    ``sqrt((1 - phase) * amplitude + phase * rotation)``. Here ``amplitude`` is the squared
    difference of the two functions' absolute values, and ``rotation`` is the rest of their squared
    difference, ``2 |f_r| |f_s| (1 - cos angle)``. Frequencies are divided by the unit of length,
    so the distance is invariant to scale and shift of the features (NCFM normalises each feature
    vector instead). It is not a squared distance: near its minimum of 1e-6 per class it grows
    linearly.

    Larger feature maps are first averaged over a grid of 4 x 4 cells, the size of a ConvNet's last
    map at 32 pixels: a first block's map of 16 x 16 with 64 channels has 16,384 features, each of
    which needs one random value per frequency.

    Attributes:
        frequencies: Frequencies in units of 1 / length, [T, D]; see :func:`draw_frequencies`.
        phase: Weight of the rotation, from 0 to 1.
    """

    needs_every_image: ClassVar[bool] = True
    largest_side: ClassVar[int] = GRIDS["characteristic"]

    frequencies: Tensor
    phase: float = 0.5

    @classmethod
    def drawn(cls, real_KnD: Tensor, generator: torch.Generator) -> Self:
        """Return the distance with new random frequencies; see ``Distance``."""
        frequencies = draw_frequencies(FREQUENCIES, real_KnD.shape[2], generator)
        return cls(to_device(frequencies, real_KnD.device))

    @property
    def bytes(self) -> int:
        """Bytes of the frequencies."""
        return self.frequencies.numel() * self.frequencies.element_size()

    def __call__(
        self, real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None
    ) -> Tensor:
        """Return the distance, from 0 to 2 K; see ``Distance``.

        Its own unit of length is :func:`unit_of` the real features.
        """
        unit_K = unit_of(real_KnD) if unit_K is None else unit_K
        # A common shift multiplies both functions by the same phase. Centring on the real mean
        # keeps the angles small, hence precise.
        centre, length = real_KnD.mean(1, keepdim=True), unit_K.sqrt()[:, None, None]
        real = characteristic_function((real_KnD - centre) / length, self.frequencies)
        synthetic = characteristic_function((synthetic_KmD - centre) / length, self.frequencies)
        whole = (real[0] - synthetic[0]).square() + (real[1] - synthetic[1]).square()
        amplitude = (_absolute(*real) - _absolute(*synthetic)).square()
        rotation = (whole - amplitude).clamp_min(0)
        squares_KT = (1 - self.phase) * amplitude + self.phase * rotation
        return squares_KT.clamp_min(_LEAST).sqrt().mean(1).sum()


def draw_frequencies(count: int, features: int, generator: torch.Generator) -> Tensor:
    """Return frequencies [T, D], in units of 1 / length: independent standard normal values.

    Args:
        count: Number of frequencies T.
        features: Number of features D.
        generator: CPU generator.
    """
    return torch.randn(count, features, generator=generator)


def characteristic_function(features_KnD: Tensor, frequencies_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of ``exp(i t x)`` over each class's images, as real and imaginary parts.

    Args:
        features_KnD: [K, n, D].
        frequencies_TD: [T, D].

    Returns:
        Two tensors [K, T], from -1 to 1.
    """
    angles_KnT = features_KnD @ frequencies_TD.T
    return angles_KnT.cos().mean(1), angles_KnT.sin().mean(1)


def unit_of(real_KnD: Tensor) -> Tensor:
    """Return the squared unit of length: each class's mean squared distance between real images.

    If all real images of a class are equal (or there is only one), the unit is their squared norm,
    so that it always scales with the square of the features. If that is 0, the unit is 1.

    Args:
        real_KnD: Features of each class's real images, [K, n, D].

    Returns:
        [K], above 0.
    """
    count = real_KnD.shape[1]
    around = real_KnD - real_KnD.mean(1, keepdim=True)
    # The norm does not materialise the squares, which would be large for a first block.
    apart = torch.linalg.vector_norm(around, dim=(1, 2)).square() * 2 / max(1, count - 1)
    size = torch.linalg.vector_norm(real_KnD, dim=(1, 2)).square() / count
    unit = torch.where(apart > _ALIKE * size, apart, size)
    return torch.where(unit > _SMALLEST, unit, 1)


def _absolute(real: Tensor, imaginary: Tensor) -> Tensor:
    return (real.square() + imaginary.square()).clamp_min(_LEAST).sqrt()
