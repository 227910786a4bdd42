"""Several networks of one architecture side by side, as one network that is as many times as wide.

A layer of the wide network holds the weights of that layer of all networks, one after another, and
its channels are theirs, network by network: a convolution of B networks is one convolution of B
times as many groups. So a pass through all of them takes as many operations as a pass through one,
and torch's own gradients, mixed precision, dropout and running statistics of batch norm hold as
they are.

That is only so where channels keep their order: DenseNet concatenates maps along them, which mixes
the networks up. So every kind of layer has to be one that is known here, and a trial with random
weights has to come out as it does alone; else there is no wide network.

Shape legend: B networks, N images, K classes, C channels, H height, W width of an image.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hmnpack.runtime.seeds import stream

_SIZES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels", "groups"),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.BatchNorm2d: ("num_features",),
    nn.Linear: (),
}
"""Layers with weights, and those of their attributes that grow with the number of networks."""

_WITHOUT_WEIGHTS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Identity, nn.Flatten, nn.Dropout),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
)
"""Layers that take every channel by itself."""

_DIFFERENCE = 0.001
"""Of logits, as a part of their length, that rounding alone may make in float32; where networks are
mixed up it is about 1."""


class StackedNetworks(nn.Module):
    """Several networks as one; their weights are copies.

    Args:
        networks: B networks of one architecture, of known layers.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count: int = len(networks)
        self.network: nn.Module = copy.deepcopy(networks[0])
        self.network.zero_grad()  # gradients of one network's shapes, if there are any
        for name, layer in list(self.network.named_modules()):
            for attribute in _SIZES.get(type(layer), ()):
                setattr(layer, attribute, self.count * getattr(layer, attribute))
            if type(layer) is nn.Linear:
                self.network.set_submodule(name, _Linears(layer, self.count))
        weights = joined([network.state_dict() for network in networks])
        for name, value in self.network.state_dict(keep_vars=True).items():
            value.data = weights[name]

    def forward(self, images_BNCHW: Tensor) -> Tensor:
        """Return the logits [B, N, K] of every network for its normalised images."""
        logits = self.network(images_BNCHW.transpose(0, 1).flatten(1, 2))
        of_each: Tensor = logits.unflatten(1, (self.count, -1)).transpose(0, 1)
        return of_each

    @torch.no_grad()
    def give_back(self, networks: Sequence[nn.Module]) -> None:
        """Copy weights and running statistics into the networks, in the order that they came."""
        for network, own in zip(networks, self.parted(self.network.state_dict()), strict=True):
            for name, value in network.state_dict().items():
                value.copy_(own[name])

    def parted(self, values: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return copies of every network's own part of some values of the wide one, by name."""
        parts: list[dict[str, Tensor]] = [{} for _ in range(self.count)]
        for name, value in values.items():
            every = value.chunk(self.count) if value.dim() else [value] * self.count
            for part, own in zip(parts, every, strict=True):
                part[name] = own.clone()
        return parts


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the values of a wide network that these are every network's own part of."""
    return {
        # One number is a count of steps, the same for all.
        name: torch.cat([part[name] for part in parts]) if value.dim() else value.clone()
        for name, value in parts[0].items()
    }


class _Linears(nn.Module):
    """Linear layers side by side: [N, B * D] -> [N, B * K]."""

    def __init__(self, one: nn.Linear, count: int) -> None:
        super().__init__()
        self.count = count
        self.weight, self.bias = one.weight, one.bias

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weight.unflatten(0, (self.count, -1)).transpose(1, 2)
        x = x.unflatten(1, (self.count, -1)).transpose(0, 1)
        if self.bias is None:
            x = torch.bmm(x, weights)
        else:
            x = torch.baddbmm(self.bias.unflatten(0, (self.count, 1, -1)), x, weights)
        return x.transpose(0, 1).flatten(1)


def can_be_wide(network: nn.Module, image: tuple[int, int, int]) -> bool:
    """Return whether networks of an architecture can go side by side, as found by a trial.

    Args:
        network: One of them; it stays as it is.
        image: C, H, W of its images.
    """
    every = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    shares = len(every) > len(list(network.parameters()))  # such weights would be widened twice
    known = all(_is_known(module) for module in network.modules())
    return bool(every) and not shares and known and _comes_out_as_alone(network, image)


def _is_known(module: nn.Module) -> bool:
    """Return whether a module takes channels by groups, as far as its kind tells."""
    if type(module) in _SIZES:
        return True
    has_own = any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False)))
    is_leaf = next(module.children(), None) is None
    return not has_own and (not is_leaf or type(module) in _WITHOUT_WEIGHTS)


@torch.no_grad()
def _comes_out_as_alone(network: nn.Module, image: tuple[int, int, int]) -> bool:
    networks = [_shaken(network, index) for index in range(2)]
    images = torch.randn(2, 2, *image, generator=stream(0, "wide", "images"))
    alone = torch.stack([one(some) for one, some in zip(networks, images, strict=True)])
    try:
        found: Tensor = StackedNetworks(networks).eval()(images)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False  # what goes by the number of channels or the kind of layer
    if found.shape != alone.shape:
        return False
    return bool((found - alone).norm() <= _DIFFERENCE * alone.norm())


def _shaken(network: nn.Module, index: int) -> nn.Module:
    """Return a copy with other weights, none of them 0 as those of a branch may be at the start.

    It is on the CPU, and in float32, so that no device's rounding hides or makes a difference.
    """
    other = copy.deepcopy(network).to("cpu", torch.float32).eval()
    generator = stream(0, "wide", index)
    for parameter in other.parameters():
        per_row = torch.randn(len(parameter), *(1,) * (parameter.dim() - 1), generator=generator)
        parameter.add_(per_row / (10 * parameter[0].numel()))  # the more inputs, the less of each
    return other
