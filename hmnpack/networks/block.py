"""One ConvNet block as one operation: convolution, instance normalisation, ReLU, mean over 2x2.

On a CPU the time of such a block goes into memory: every operation reads and writes maps larger
than the caches, into pages fresh from the system. ``FusedBlock`` therefore goes through the images
in slices whose maps stay in the cache, in channels-last order, in place, and keeps for the
backward pass only the normalised map. The mathematics is that of ``plain_block``; a bias before
instance normalisation cancels, and is skipped. Under autocast only the convolutions are computed in
low precision: a CPU has fast products of bfloat16, but no fast sums of it.

Shape legend: N images, C channels in, D channels out, H W sides in, h w sides before pooling.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
_SLICE = 2**18
"""Numbers of a slice's map: 1 MiB, small enough for a second-level cache and for the heap."""
_PIXELS = (2, 3)


def block(  # noqa: PLR0913
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    padding: int = 1,
    *,
    groups: int = 1,
) -> Tensor:
    """Return [N, D, h // 2, w // 2], by whichever of the two ways suits the device.

    Args:
        x: [N, C, H, W].
        weight: [D, C / groups, 3, 3], of the convolution.
        bias: [D], of the convolution; the normalisation takes it away again.
        scale: [D], of the normalisation.
        shift: [D], of the normalisation.
        padding: Zeros around the image, in pixels.
        groups: Of channels, each of which the convolution takes by itself.
    """
    if groups > 1 or x.device.type != "cpu":
        return plain_block(x, weight, bias, scale, shift, padding, groups=groups)
    if torch.is_autocast_enabled("cpu") and x.dtype == torch.float32:
        x = _last(x, torch.get_autocast_dtype("cpu"))
    if not torch.is_grad_enabled():
        return torch.cat(_forward(x, weight, scale, shift, padding, keep=False)[0])
    pooled: Tensor = FusedBlock.apply(x, weight, bias, scale, shift, padding)
    return pooled


def plain_block(  # noqa: PLR0913
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    padding: int = 1,
    *,
    groups: int = 1,
) -> Tensor:
    """Return what ``block`` returns, by one library call per operation."""
    x = F.conv2d(x, weight, bias, padding=padding, groups=groups)
    x = F.instance_norm(x, weight=scale, bias=shift, eps=EPSILON)
    return F.avg_pool2d(F.relu(x), 2)


class FusedBlock(torch.autograd.Function):
    """``plain_block`` for CPUs; differentiable as often as wanted.

    Convolutions are computed in the dtype of ``x``, all else in that of the scale.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:  # noqa: ANN401
        """Return [N, D, h // 2, w // 2] for the arguments of ``plain_block``."""
        x, weight, _bias, scale, shift, padding = arguments
        outputs, maps, deviations = _forward(x, weight, scale, shift, padding, keep=True)
        ctx.padding = padding
        ctx.save_for_backward(x, weight, scale, shift, *maps, *deviations)
        return torch.cat(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of the arguments of ``forward``."""
        x, weight, scale, shift, *kept = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():
            inputs = (x, weight, scale, shift)
            wanted = (needed[0], needed[1], needed[3], needed[4])
            found = _differentiable_backward(grads[0], inputs, wanted, ctx.padding)
        else:
            maps, deviations = kept[: len(kept) // 2], kept[len(kept) // 2 :]
            slices = _Slices(x, weight, scale, shift, ctx.padding, (needed[0], needed[1]))
            found = slices.backward(grads[0], maps, deviations)
        bias = torch.zeros_like(shift) if needed[2] else None
        return found[0], found[1], bias, found[2], found[3], None


def _column(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def _last(images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    # `to` with a memory format copies images of one channel, which have both orders already.
    return images.to(dtype or images.dtype).contiguous(memory_format=torch.channels_last)


def _slice_size(height: int, width: int, channels: int, padding: int) -> int:
    """Return how many images have maps that stay in the cache together."""
    return max(1, _SLICE // (channels * (height + 2 * padding - 2) * (width + 2 * padding - 2)))


def _forward(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, padding: int, *, keep: bool
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return outputs, normalised maps and inverse deviations (if kept), slice by slice."""
    size = _slice_size(x.shape[2], x.shape[3], len(weight), padding)
    weight, scale, shift = _last(weight, x.dtype), _column(scale), _column(shift)
    outputs, maps, deviations = [], [], []
    for part in _last(x).split(size):
        pooled, values, inverse = normalised(part, weight, scale, shift, padding)
        outputs.append(pooled)
        if keep:
            maps.append(values)
            deviations.append(inverse)
    return outputs, maps, deviations


def normalised(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, padding: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a block's output, its normalised map and the map's inverse deviations.

    Args:
        x: [N, C, H, W].
        weight: [D, C, 3, 3], of the dtype of ``x``, which is that of the convolution.
        scale: [1, D, 1, 1].
        shift: [1, D, 1, 1].
        padding: Zeros around the image, in pixels.

    Returns:
        [N, D, h, w], [N, D, H, W] and [N, D, 1, 1], of the dtype of the scale.
    """
    values = F.conv2d(x, weight, padding=padding).to(scale.dtype)
    values -= values.mean(_PIXELS, keepdim=True)
    inverse = torch.rsqrt((values * values).mean(_PIXELS, keepdim=True) + EPSILON)
    values *= inverse
    return F.avg_pool2d(torch.addcmul(shift, values, scale).relu_(), 2), values, inverse


def half_backward(grad: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of what was averaged over 2x2: of the shape of ``values``."""
    found: Tensor = torch.ops.aten.avg_pool2d_backward(
        grad, values, [2, 2], [2, 2], [0, 0], False, True, None
    )
    return found


def before_norm(
    grad: Tensor, values: Tensor, inverse: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the convolution's output, of the scale and of the shift.

    Args:
        grad: Of the block's output, [N, D, h, w].
        values: Normalised map [N, D, H, W].
        inverse: Its inverse deviations [N, D, 1, 1].
        scale: [1, D, 1, 1].
        shift: [1, D, 1, 1].

    Returns:
        [N, D, H, W], and two of [N, D, 1, 1]: image by image.
    """
    output = torch.addcmul(shift, values, scale)
    grad = half_backward(grad, values)
    torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)
    by_shift = grad.sum(_PIXELS, keepdim=True)
    by_scale = torch.mul(grad, values, out=output).sum(_PIXELS, keepdim=True)
    count = values.shape[2] * values.shape[3]
    grad -= by_shift / count
    grad.addcmul_(values, by_scale, value=-1 / count)
    grad *= scale * inverse
    return grad, by_scale, by_shift


class _Slices:
    """The backward pass, slice by slice, in place, not to be differentiated again."""

    def __init__(
        self,
        x: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        padding: int,
        needed: tuple[bool, bool],
    ) -> None:
        self.x, self.weight = _last(x), _last(weight, x.dtype)
        self.scale, self.shift = _column(scale), _column(shift)
        self.padding, self.needed = padding, needed

    def backward(
        self, grad: Tensor, maps: list[Tensor], deviations: list[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight, scale and shift."""
        size = max(len(maps[0]), 1)
        scale, shift = torch.zeros_like(self.scale), torch.zeros_like(self.shift)
        inputs, weights = [], []
        parts = zip(
            self.x.split(size),
            _last(grad).split(size),
            maps,
            deviations,
            strict=True,
        )
        for part, grad_part, values, inverse in parts:
            grad_map, by_scale, by_shift = before_norm(
                grad_part, values, inverse, self.scale, self.shift
            )
            scale += by_scale.sum(0, keepdim=True)
            shift += by_shift.sum(0, keepdim=True)
            by_input, by_weight = self._before_conv(grad_map, part)
            inputs.append(by_input)
            weights.append(by_weight)
        return (
            torch.cat(inputs) if self.needed[0] else None,
            torch.stack(weights).sum(0, dtype=scale.dtype) if self.needed[1] else None,
            scale.flatten(),
            shift.flatten(),
        )

    def _before_conv(self, grad: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        by_input, by_weight, _ = torch.ops.aten.convolution_backward(
            grad.to(part.dtype),
            part,
            self.weight,
            None,
            [1, 1],
            [self.padding, self.padding],
            [1, 1],
            False,
            [0, 0],
            1,
            [*self.needed, False],
        )
        return by_input, by_weight


def _differentiable_backward(
    grad: Tensor, inputs: tuple[Tensor, ...], wanted: tuple[bool, ...], padding: int
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, weight, scale and shift as part of the graph."""
    # Aliases: where one input was computed from another, only the direct part is wanted here.
    x, weight, scale, shift = aliases = [value.view_as(value) for value in inputs]
    output = plain_block(x.to(scale.dtype), weight, None, scale, shift, padding)
    chosen = [alias for alias, want in zip(aliases, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(output, chosen, grad, create_graph=True))
    return tuple(next(found) if want else None for want in wanted)
