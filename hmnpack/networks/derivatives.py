"""Hand-written second derivatives of a ConvNet: how weight gradients depend on the images.

Gradient matching compares the weight gradients of real and synthetic images. It needs the gradient,
with respect to the synthetic images, of the inner product of their weight gradients and given
directions V. That inner product is the directional derivative of the loss along V, so its gradient
is the directional derivative along V of the loss's gradient: one forward and one backward pass in
which every step also computes its own derivative (forward-over-reverse differentiation). It needs
no autograd graph, takes seven convolutions per layer where double backward takes eight or more, and
can write all temporaries in place. ``AutogradPass`` does the same for any other network.

A block is ``z = conv(x, W)``, ``u = (z - mean z) * r`` with ``r = 1 / deviation`` of each map,
``p = mean2x2(relu(s * u + b))``. The prefix ``d`` marks derivatives along V, the prefix ``g``
gradients of the loss with respect to the named variable. From ``dr = -r^2 mean(u dz)`` follow:

- ``gz = r (gu - mean gu - u mean(u gu))``
- ``du = r (dz - mean dz - u mean(u dz))``
- ``dgz = -r mean(u dz) gz + r (dgu - mean dgu - du mean(u gu) - u (mean(du gu) + mean(u dgu)))``

Shape legend: k classes in a pass, n images of each, N = k * n, C channels in, D channels out,
H W sides in, h w sides after pooling.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnpack.networks.block import backward_to_conv, normalised, pool_backward
from hmnpack.networks.classwise import class_conv, class_conv_input, class_conv_weight
from hmnpack.networks.convnet import ConvNet
from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision

_PIXELS = (2, 3)


class Pass(Protocol):
    """A forward and a backward pass on images of some classes.

    Attributes:
        dtype: Data type of all its tensors.
        weight_gradients: One [k, D, C, 3, 3] per convolution: the gradient of each class's loss.
    """

    dtype: torch.dtype
    weight_gradients: list[Tensor]

    def along(self, directions: list[Tensor]) -> Tensor:
        """Return the image gradient of the inner product of weight gradients and directions.

        Args:
            directions: Tensors of the shapes of ``weight_gradients``.

        Returns:
            [N, C, H, W].
        """


@dataclass
class _Saved:
    """Tensors of one block that the first pass saves for the second.

    Attributes:
        x: Its input [N, C, H, W].
        u: Normalised map [N, D, H, W].
        r: Inverse deviations [N, D, 1, 1].
        gp: Gradient of its output [N, D, h, w].
        gz: Gradient of the convolution's output [N, D, H, W].
        ugu: ``mean(u gu)`` [N, D, 1, 1].
    """

    x: Tensor
    u: Tensor
    r: Tensor
    gp: Tensor
    gz: Tensor
    ugu: Tensor


@dataclass
class _Derivative:
    """Derivatives of one block's maps along V, saved for the backward pass.

    Attributes:
        du: Derivative of the normalised map [N, D, H, W].
        udz: ``mean(u dz)`` [N, D, 1, 1].
        dugu: ``mean(du gu)`` [N, D, 1, 1].
    """

    du: Tensor
    udz: Tensor
    dugu: Tensor


@dataclass(frozen=True)
class _Block:
    """Weights of one block: W [D, C, 3, 3], s and b [1, D, 1, 1]."""

    weight: Tensor
    scale: Tensor
    shift: Tensor
    padding: int


class ConvNetPass:
    """The pass of a ConvNet; see ``Pass``. Use it under ``torch.no_grad``.

    Args:
        network: The ConvNet; it is not modified.
        images: Normalised and augmented, [k * n, C, H, W], grouped by class; everything is computed
            in their dtype.
        labels: int64 [k * n].
        classes: Number of classes k.
        share: Weight of each image's cross-entropy in its class's loss: 1 / images of the class.
    """

    def __init__(
        self, network: ConvNet, images: Tensor, labels: Tensor, classes: int, share: float
    ) -> None:
        self.dtype: torch.dtype = images.dtype
        self.classes = classes
        self.share = share
        self.classifier: Tensor = network.classifier.weight.to(images)
        self.blocks: list[_Block] = [
            _Block(
                layer.conv.weight.to(images).contiguous(memory_format=torch.channels_last),
                layer.norm.weight.to(images).view(1, -1, 1, 1),
                layer.norm.bias.to(images).view(1, -1, 1, 1),
                layer.padding,
            )
            for layer in network.layers
        ]
        x = images.contiguous(memory_format=torch.channels_last)
        inputs, maps = [], []
        for block in self.blocks:
            inputs.append(x)
            x, u, r = normalised(x, block.weight, block.scale, block.shift, block.padding)
            maps.append((u, r))
        bias = network.classifier.bias.to(images)
        logits = F.linear(x.flatten(1), self.classifier, bias)
        # In low precision, 1 - p of a confidently classified image, its gradient, would round to 0.
        exact = torch.promote_types(logits.dtype, torch.float32)
        self.probabilities: Tensor = logits.to(exact).softmax(1)
        self.saved: list[_Saved] = []
        self._backward(inputs, maps, labels, x.shape)

    def _backward(
        self,
        inputs: list[Tensor],
        maps: list[tuple[Tensor, Tensor]],
        labels: Tensor,
        shape: torch.Size,
    ) -> None:
        error = self.probabilities.clone()
        error[torch.arange(len(labels), device=labels.device), labels] -= 1
        gp = _as_maps((error * self.share).to(self.dtype) @ self.classifier, shape)
        self.weight_gradients: list[Tensor] = []
        for index in reversed(range(len(self.blocks))):
            block, x, (u, r) = self.blocks[index], inputs[index], maps[index]
            gz, by_scale, _ = backward_to_conv(gp, u, r, block.scale, block.shift)
            ugu = by_scale * block.scale / (u.shape[2] * u.shape[3])
            self.saved.insert(0, _Saved(x, u, r, gp, gz, ugu))
            gradient = class_conv_weight(x, gz, self.classes, block.weight, block.padding)
            self.weight_gradients.insert(0, gradient)
            if index:
                gp = F.conv_transpose2d(gz, block.weight, padding=block.padding)

    def along(self, directions: list[Tensor]) -> Tensor:
        """Return [N, C, H, W]; see ``Pass``."""
        derivatives, dp = [], None
        for block, saved, direction in zip(self.blocks, self.saved, directions, strict=True):
            dp, derivative = _forward_along(block, saved, direction, dp)
            derivatives.append(derivative)
        assert dp is not None  # noqa: S101 - a ConvNet has a block
        dlogits = F.linear(dp.flatten(1), self.classifier).to(self.probabilities.dtype)
        dlogits -= (dlogits * self.probabilities).sum(1, keepdim=True)
        derror = dlogits.mul_(self.probabilities).mul_(self.share)
        dgp = _as_maps(derror.to(self.dtype) @ self.classifier, dp.shape)
        for block, saved, derivative, direction in zip(
            reversed(self.blocks),
            reversed(self.saved),
            reversed(derivatives),
            reversed(directions),
            strict=True,
        ):
            dgp = _backward_along(block, saved, derivative, direction, dgp)
        return dgp


def _as_maps(rows: Tensor, shape: torch.Size) -> Tensor:
    return rows.view(shape).contiguous(memory_format=torch.channels_last)


def _forward_along(
    block: _Block, saved: _Saved, direction: Tensor, dx: Tensor | None
) -> tuple[Tensor, _Derivative]:
    """Return the derivative of a block's output, and the tensors for the backward pass."""
    dz = class_conv(saved.x, direction, block.padding)
    if dx is not None:
        dz += F.conv2d(dx, block.weight, padding=block.padding)
    udz = (dz * saved.u).mean(_PIXELS, keepdim=True)
    dz -= dz.mean(_PIXELS, keepdim=True)
    du = dz.addcmul_(saved.u, udz, value=-1).mul_(saved.r)
    dp = F.avg_pool2d(_passed(du * block.scale, block, saved), 2)
    count = du.shape[2] * du.shape[3]
    dugu = (dp * saved.gp).sum(_PIXELS, keepdim=True) / count
    return dp, _Derivative(du, udz, dugu)


def _backward_along(
    block: _Block, saved: _Saved, derivative: _Derivative, direction: Tensor, dgp: Tensor
) -> Tensor:
    """Return the derivative of the gradient of a block's input."""
    dgu = _passed(pool_backward(dgp, saved.u), block, saved)
    dgu *= block.scale
    udgu = (dgu * saved.u).mean(_PIXELS, keepdim=True)
    dgu -= dgu.mean(_PIXELS, keepdim=True)
    dgu.addcmul_(saved.u, udgu + derivative.dugu, value=-1)
    dgu.addcmul_(derivative.du, saved.ugu, value=-1)
    dgz = dgu.addcmul_(saved.gz, derivative.udz, value=-1).mul_(saved.r)
    dgx = F.conv_transpose2d(dgz, block.weight, padding=block.padding)
    dgx += class_conv_input(saved.gz, direction, block.padding)
    return dgx


def _passed(values: Tensor, block: _Block, saved: _Saved) -> Tensor:
    """Zero, in place, the values where the block's ReLU was inactive."""
    output = torch.addcmul(block.shift, saved.u, block.scale)
    torch.ops.aten.threshold_backward.grad_input(values, output, 0, grad_input=values)
    return values


class AutogradPass:
    """The pass of any network, one class at a time, by automatic differentiation; see ``Pass``.

    Args:
        network: The network; the gradients of all its 4-dimensional weights are computed.
        images: Normalised and augmented, [k * n, C, H, W], grouped by class; bfloat16 images enable
            autocast.
        labels: int64 [k * n].
        classes: Number of classes k.
        share: Weight of each image's cross-entropy in its class's loss.
        keep: Whether to retain the graph, which ``along`` needs.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        classes: int,
        share: float,
        *,
        keep: bool = True,
    ) -> None:
        self.leaves: list[Tensor] = []
        self.gradients: list[tuple[Tensor, ...]] = []
        self.dtype: torch.dtype = next(network.parameters()).dtype
        weights = [weight for weight in network.parameters() if weight.dim() == 4]
        precision: Precision = "bfloat16" if images.dtype == torch.bfloat16 else "float32"
        for some, names in zip(
            images.unflatten(0, (classes, -1)), labels.view(classes, -1), strict=True
        ):
            leaf = some.detach().to(self.dtype).requires_grad_(keep)
            with torch.enable_grad():
                with autocast(leaf.device, precision):
                    logits = network(leaf).to(self.dtype)
                loss = F.cross_entropy(logits, names, reduction="sum") * share
                found = torch.autograd.grad(loss, weights, create_graph=keep)
            self.leaves.append(leaf)
            self.gradients.append(found)
        self.weight_gradients: list[Tensor] = [
            torch.stack([part.detach() for part in layer])
            for layer in zip(*self.gradients, strict=True)
        ]

    def along(self, directions: list[Tensor]) -> Tensor:
        """Return [N, C, H, W]; see ``Pass``."""
        found: list[Tensor] = []
        for index, (leaf, gradients) in enumerate(zip(self.leaves, self.gradients, strict=True)):
            some = [direction[index] for direction in directions]
            found += torch.autograd.grad(gradients, [leaf], some)
        return torch.cat(found)


_SLICE = 2**20
"""Elements of a slice's largest map: with its saved tensors the slice fits a last-level cache."""


def images_at_once(network: ConvNet, images: Tensor) -> int:
    """Return how many images of one class form a slice: few on a CPU, all on other devices."""
    if images.device.type != "cpu":
        return len(images)
    first = network.layers[0]
    grow = 2 * first.padding - 2
    pixels = (images.shape[2] + grow) * (images.shape[3] + grow)
    return max(1, _SLICE // (len(first.conv.weight) * pixels))
