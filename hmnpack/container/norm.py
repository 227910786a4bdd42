"""Batch normalisation with three stages: batch statistics, then frozen, finally folded.

When frozen it is one multiplication and one addition per channel, which :meth:`Norm.fold` moves
into the preceding convolution. A decoded image then depends on its own memories only, and not on
the batch that the statistics would otherwise come from, which the literature leaves open.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5


class Norm(nn.Module):
    """Normalises maps [N, C, H, W] per channel.

    Args:
        channels: Number of channels C.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale: nn.Parameter = nn.Parameter(torch.ones(channels))
        self.shift: nn.Parameter = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.frozen: bool = False

    def get_extra_state(self) -> bool:
        """Return whether the statistics are frozen, for the state dict."""
        return self.frozen

    def set_extra_state(self, state: bool) -> None:
        """Restore the value of :meth:`get_extra_state`."""
        self.frozen = bool(state)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps, of the same shape."""
        known = (self.mean, self.var) if self.frozen else (None, None)
        return F.batch_norm(
            maps, *known, self.scale, self.shift, training=not self.frozen, eps=EPSILON
        )

    def freeze(self, batches: Iterable[Tensor]) -> None:
        """Freeze the statistics at those of all maps of all batches."""
        count = 0
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        squares = torch.zeros_like(total)
        for maps in batches:
            # On the CPU: some accelerators have no float64.
            pixels = maps.movedim(1, -1).flatten(0, 2).cpu().double()
            count += len(pixels)
            total += pixels.sum(0)
            squares += pixels.square().sum(0)
        mean = total / count
        self.mean.copy_(mean)
        self.var.copy_((squares / count - mean.square()).clamp_min(0))
        self.frozen = True

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Fold the norm into a convolution: return weight [Cin, Cout, 4, 4] and bias [Cout]."""
        factor = self.scale * torch.rsqrt(self.var + EPSILON)
        return weight * factor[None, :, None, None], (bias - self.mean) * factor + self.shift
