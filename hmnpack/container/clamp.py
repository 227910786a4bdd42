"""Clamping of stored values to the range that they can have."""

from typing import Any

import torch
from torch import Tensor


class _Clamp(torch.autograd.Function):
    """Clamps to a range; outside, only gradients that move a value back into the range pass.

    The true gradient is 0 outside, so a value there would never change again. With a
    straight-through gradient it could drift away without bound.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Any, high: Any) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(values)
        ctx.bounds = low, high  # constants, on the device already: no copy to it
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (values,), (low, high) = ctx.saved_tensors, ctx.bounds
        away = ((values < low) & (gradient > 0)) | ((values > high) & (gradient < 0))
        return gradient.masked_fill(away, 0), None, None


def clamp(values: Tensor, low: Tensor | float = 0.0, high: Tensor | float = 1.0) -> Tensor:
    """Return the values clamped to [low, high], with the gradient of :class:`_Clamp`.

    Args:
        values: Any shape.
        low: Lower bound: a number, or a constant tensor that broadcasts to the values.
        high: Upper bound, of the same type.
    """
    clamped: Tensor = _Clamp.apply(values, low, high)
    return clamped
