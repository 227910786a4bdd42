"""Second derivatives of a ConvNet by hand: gradients of its weights, and how images move them.

Gradient matching compares weight gradients of real and of synthetic images, and asks how the
synthetic images should change: the gradient, with respect to the images, of the product of their
weight gradients and given directions V. That product is the derivative of the images' loss along
V, so its gradient is the derivative along V of the loss's gradient: one forward and one backward
pass whose every step carries its own derivative ("forward over reverse"). Nothing needs a graph;
seven convolutions a layer, where automatic differentiation twice takes eight or more, and every
temporary can be written in place. ``AutogradPass`` does the same for any other network.

A block is ``z = conv(x, W)``, ``u = (z - mean z) * r`` with ``r = 1 / deviation`` of each map,
``p = mean2x2(relu(s * u + b))``. A prefix ``d`` marks derivatives along V; gradients of the loss
are ``g`` with the name of what they belong to. The rules that follow from ``dr = -r^2 mean(u dz)``:

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

from hmnpack.networks.block import before_norm, half_backward, normalised
from hmnpack.networks.classwise import class_conv, class_conv_input, class_conv_weight
from hmnpack.networks.convnet import ConvNet
from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision

_PIXELS = (2, 3)


class Pass(Protocol):
    """A forward and a backward pass on images of some classes.

    Attributes:
        dtype: That of everything in it.
        weight_gradients: One [k, D, C, 3, 3] for each convolution: of every class's summed loss.
    """

    dtype: torch.dtype
    weight_gradients: list[Tensor]

    def along(self, directions: list[Tensor]) -> Tensor:
        """Return the images' gradient of the product of weight gradients and directions.

        Args:
            directions: Tensors of the shapes of ``weight_gradients``.

        Returns:
            [N, C, H, W].
        """


@dataclass
class _Kept:
    """What one block keeps of the first pass for the second.

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
class _Moved:
    """The derivative of one block's maps along V, kept for the way back.

    Attributes:
        du: Of the normalised map [N, D, H, W].
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
    """The pass of a ConvNet; see ``Pass``. Call it without a graph (``torch.no_grad``).

    Args:
        network: Its weights are used, not changed.
        images: Normalised and augmented, [k * n, C, H, W], class by class; all is computed in
            their dtype.
        labels: int64 [k * n].
        classes: k.
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
        # In low precision, what a confident network still has to learn of an image would be 0.
        exact = torch.promote_types(logits.dtype, torch.float32)
        self.probabilities: Tensor = logits.to(exact).softmax(1)
        self.kept: list[_Kept] = []
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
            gz, by_scale, _ = before_norm(gp, u, r, block.scale, block.shift)
            ugu = by_scale * block.scale / (u.shape[2] * u.shape[3])
            self.kept.insert(0, _Kept(x, u, r, gp, gz, ugu))
            gradient = class_conv_weight(x, gz, self.classes, block.weight, block.padding)
            self.weight_gradients.insert(0, gradient)
            if index:
                gp = F.conv_transpose2d(gz, block.weight, padding=block.padding)

    def along(self, directions: list[Tensor]) -> Tensor:
        """Return [N, C, H, W]; see ``Pass``."""
        moved, dp = [], None
        for block, kept, direction in zip(self.blocks, self.kept, directions, strict=True):
            dp, derivative = _forward_along(block, kept, direction, dp)
            moved.append(derivative)
        assert dp is not None  # noqa: S101 - a ConvNet has a block
        dlogits = F.linear(dp.flatten(1), self.classifier).to(self.probabilities.dtype)
        dlogits -= (dlogits * self.probabilities).sum(1, keepdim=True)
        derror = dlogits.mul_(self.probabilities).mul_(self.share)
        dgp = _as_maps(derror.to(self.dtype) @ self.classifier, dp.shape)
        for block, kept, derivative, direction in zip(
            reversed(self.blocks),
            reversed(self.kept),
            reversed(moved),
            reversed(directions),
            strict=True,
        ):
            dgp = _backward_along(block, kept, derivative, direction, dgp)
        return dgp


def _as_maps(rows: Tensor, shape: torch.Size) -> Tensor:
    return rows.view(shape).contiguous(memory_format=torch.channels_last)


def _forward_along(
    block: _Block, kept: _Kept, direction: Tensor, dx: Tensor | None
) -> tuple[Tensor, _Moved]:
    """Return the derivative of a block's output, and what the way back needs."""
    dz = class_conv(kept.x, direction, block.padding)
    if dx is not None:
        dz += F.conv2d(dx, block.weight, padding=block.padding)
    udz = (dz * kept.u).mean(_PIXELS, keepdim=True)
    dz -= dz.mean(_PIXELS, keepdim=True)
    du = dz.addcmul_(kept.u, udz, value=-1).mul_(kept.r)
    dp = F.avg_pool2d(_passed(du * block.scale, block, kept), 2)
    count = du.shape[2] * du.shape[3]
    dugu = (dp * kept.gp).sum(_PIXELS, keepdim=True) / count
    return dp, _Moved(du, udz, dugu)


def _backward_along(
    block: _Block, kept: _Kept, moved: _Moved, direction: Tensor, dgp: Tensor
) -> Tensor:
    """Return the derivative of the gradient of a block's input."""
    dgu = _passed(half_backward(dgp, kept.u), block, kept)
    dgu *= block.scale
    udgu = (dgu * kept.u).mean(_PIXELS, keepdim=True)
    dgu -= dgu.mean(_PIXELS, keepdim=True)
    dgu.addcmul_(kept.u, udgu + moved.dugu, value=-1)
    dgu.addcmul_(moved.du, kept.ugu, value=-1)
    dgz = dgu.addcmul_(kept.gz, moved.udz, value=-1).mul_(kept.r)
    dgx = F.conv_transpose2d(dgz, block.weight, padding=block.padding)
    dgx += class_conv_input(kept.gz, direction, block.padding)
    return dgx


def _passed(values: Tensor, block: _Block, kept: _Kept) -> Tensor:
    """Zero, in place, what the ReLU of a block did not let through."""
    output = torch.addcmul(block.shift, kept.u, block.scale)
    torch.ops.aten.threshold_backward.grad_input(values, output, 0, grad_input=values)
    return values


class AutogradPass:
    """The pass of any network, one class at a time, by automatic differentiation; see ``Pass``.

    Args:
        network: All of its 4-dimensional weights are matched.
        images: Normalised and augmented, [k * n, C, H, W], class by class; in bfloat16 they ask for
            autocast.
        labels: int64 [k * n].
        classes: k.
        share: Weight of each image's cross-entropy in its class's loss.
        keep: Whether ``along`` will be called.
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
"""Numbers of the largest map of a slice: with what it keeps, it stays in a last-level cache."""


def images_at_once(network: ConvNet, images: Tensor) -> int:
    """Return how many images of one class make a slice: on a CPU few, elsewhere all."""
    if images.device.type != "cpu":
        return len(images)
    first = network.layers[0]
    grow = 2 * first.padding - 2
    pixels = (images.shape[2] + grow) * (images.shape[3] + grow)
    return max(1, _SLICE // (len(first.conv.weight) * pixels))
