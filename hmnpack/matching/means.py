"""The distance between class means: the objective ``features``."""

from torch import Tensor

from hmnpack.matching.distances import Distance


class MeanDistance(Distance):
    """The squared distance between class means, summed over classes and features.

    This is the objective of distribution matching: the sum over classes c of
    ``||mean phi(T_c) - mean phi(S_c)||^2``, with T_c the real and S_c the synthetic images.
    """

    def __call__(
        self, real_KnD: Tensor, synthetic_KmD: Tensor, unit_K: Tensor | None = None
    ) -> Tensor:
        """Return the distance, 0 or more; see ``Distance``. The default unit of length is 1."""
        squares_KD = (real_KnD.mean(1) - synthetic_KmD.mean(1)).square()
        return (squares_KD if unit_K is None else squares_KD / unit_K[:, None]).sum()
