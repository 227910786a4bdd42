"""A fused ConvNet block: convolution, instance normalisation, ReLU, 2x2 average pooling.

On a CPU such a block is memory-bound: every operation reads and writes maps that exceed the
caches, often into newly allocated pages. ``FusedBlock`` therefore processes the images in slices
whose maps fit into the cache, in place and in channels-last order, and saves only the normalised
map for the backward pass. It computes the same function as ``plain_block``; the convolution's bias
cancels in instance normalisation and is skipped. Under autocast only the convolutions run in low
precision: CPUs have fast bfloat16 products, but no fast bfloat16 sums.

Shape legend: N images, C channels in, D channels out, H W sides in, h w sides before pooling.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
_SLICE = 2**18
"""Elements of a slice's map: 1 MiB in float32, which fits a second-level cache and the heap."""
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
    """Return [N, D, h // 2, w // 2]; the implementation depends on the device.

    Args:
        x: [N, C, H, W].
        weight: [D, C / groups, 3, 3], of the convolution.
        bias: [D], of the convolution; it cancels in the normalisation.
        scale: [D], of the normalisation.
        shift: [D], of the normalisation.
        padding: Zero padding around the image, in pixels.
        groups: Channel groups of the convolution.
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
    """Compute the same output as ``block`` with one library call per operation."""
    return F.avg_pool2d(unpooled_block(x, weight, bias, scale, shift, padding, groups=groups), 2)


def unpooled_block(  # noqa: PLR0913
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    padding: int = 1,
    *,
    groups: int = 1,
) -> Tensor:
    """Return the map before the pooling, [N, D, H, W], for the arguments of ``block``."""
    x = F.conv2d(x, weight, bias, padding=padding, groups=groups)
    return F.relu(F.instance_norm(x, weight=scale, bias=shift, eps=EPSILON))


class FusedBlock(torch.autograd.Function):
    """``plain_block`` for CPUs; differentiable any number of times.

    Convolutions are computed in the dtype of ``x``, everything else in the dtype of ``scale``.
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
        x, weight, scale, shift, *saved = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():
            inputs = (x, weight, scale, shift)
            wanted = (needed[0], needed[1], needed[3], needed[4])
            found = _differentiable_backward(grads[0], inputs, wanted, ctx.padding)
        else:
            maps, deviations = saved[: len(saved) // 2], saved[len(saved) // 2 :]
            slices = _Slices(x, weight, scale, shift, ctx.padding, (needed[0], needed[1]))
            found = slices.backward(grads[0], maps, deviations)
        bias = torch.zeros_like(shift) if needed[2] else None
        return found[0], found[1], bias, found[2], found[3], None


def _column(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def _last(images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    # `to` with a memory format would copy single-channel images, which are in both formats already.
    return images.to(dtype or images.dtype).contiguous(memory_format=torch.channels_last)


def _slice_size(height: int, width: int, channels: int, padding: int) -> int:
    """Return how many images' maps fit into the cache at once."""
    return max(1, _SLICE // (channels * (height + 2 * padding - 2) * (width + 2 * padding - 2)))


def _forward(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, padding: int, *, keep: bool
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return outputs and, with ``keep``, normalised maps and inverse deviations, per slice."""
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
    """Return a block's output, its normalised map and the inverse standard deviations.

    Args:
        x: [N, C, H, W]; the convolution is computed in its dtype.
        weight: [D, C, 3, 3], of the dtype of ``x``.
        scale: [1, D, 1, 1].
        shift: [1, D, 1, 1].
        padding: Zero padding around the image, in pixels.

    Returns:
        [N, D, h, w], [N, D, H, W] and [N, D, 1, 1], of the dtype of ``scale``.
    """
    values = F.conv2d(x, weight, padding=padding).to(scale.dtype)
    values -= values.mean(_PIXELS, keepdim=True)
    inverse = torch.rsqrt((values * values).mean(_PIXELS, keepdim=True) + EPSILON)
    values *= inverse
    return F.avg_pool2d(torch.addcmul(shift, values, scale).relu_(), 2), values, inverse


def pool_backward(grad: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of the input of 2x2 average pooling: of the shape of ``values``."""
    found: Tensor = torch.ops.aten.avg_pool2d_backward(
        grad, values, [2, 2], [2, 2], [0, 0], False, True, None
    )
    return found


def backward_to_conv(
    grad: Tensor, values: Tensor, inverse: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the convolution's output, of the scale and of the shift.

    Args:
        grad: Gradient of the block's output, [N, D, h, w].
        values: Normalised map [N, D, H, W].
        inverse: Inverse standard deviations [N, D, 1, 1].
        scale: [1, D, 1, 1].
        shift: [1, D, 1, 1].

    Returns:
        [N, D, H, W], and per image [N, D, 1, 1] for the scale and [N, D, 1, 1] for the shift.
    """
    output = torch.addcmul(shift, values, scale)
    grad = pool_backward(grad, values)
    torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)
    by_shift = grad.sum(_PIXELS, keepdim=True)
    by_scale = torch.mul(grad, values, out=output).sum(_PIXELS, keepdim=True)
    count = values.shape[2] * values.shape[3]
    grad -= by_shift / count
    grad.addcmul_(values, by_scale, value=-1 / count)
    grad *= scale * inverse
    return grad, by_scale, by_shift


class _Slices:
    """The backward pass, slice by slice and in place; it cannot be differentiated again."""

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
            grad_map, by_scale, by_shift = backward_to_conv(
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
    # Aliases: if one input was computed from another, only its direct gradient is needed here.
    x, weight, scale, shift = aliases = [value.view_as(value) for value in inputs]
    output = plain_block(x.to(scale.dtype), weight, None, scale, shift, padding)
    chosen = [alias for alias, want in zip(aliases, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(output, chosen, grad, create_graph=True))
    return tuple(next(found) if want else None for want in wanted)
