"""Batch normalisation with three stages: batch statistics, then frozen, finally folded.

When frozen it is one multiplication and one addition per channel, which :meth:`Norm.fold` moves
into the preceding convolution. A decoded image then depends on its own memories only, and not on
the batch that the statistics would otherwise come from, which the literature leaves open.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class Norm(nn.Module):
    """Normalises rows [N, H, W * C], channels last, per channel.

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

    def forward(self, rows: Tensor) -> Tensor:
        """Return the normalised rows, of the same shape."""
        pixels: Tensor = rows.unflatten(2, (-1, len(self.scale)))
        if self.frozen:
            mean, var = self.mean, self.var
        else:
            var, mean = torch.var_mean(pixels, (0, 1, 2), correction=0)
        factor = self.scale * torch.rsqrt(var + EPSILON)
        return ((pixels - mean) * factor + self.shift).flatten(2)

    def freeze(self, batches: Iterable[Tensor]) -> None:
        """Freeze the statistics at those of all rows of all batches."""
        count = 0
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        squares = torch.zeros_like(total)
        for rows in batches:
            # On the CPU: some accelerators have no float64.
            pixels = rows.unflatten(2, (-1, len(self.scale))).flatten(0, 2).cpu().double()
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
