"""Clamping of stored pixels to [0, 1]."""

from typing import Any

import torch
from torch import Tensor


class _Clamp(torch.autograd.Function):
    """Clamps to [0, 1]; outside, only gradients that move a pixel back into the range pass.

    The true gradient is 0 outside, so a pixel there would never change again. With a
    straight-through gradient it could drift away without bound.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (values,) = ctx.saved_tensors
        away = ((values < 0) & (gradient > 0)) | ((values > 1) & (gradient < 0))
        return gradient.masked_fill(away, 0)


def clamp(values: Tensor) -> Tensor:
    """Return the values clamped to [0, 1], with the gradient of :class:`_Clamp`."""
    clamped: Tensor = _Clamp.apply(values)
    return clamped
