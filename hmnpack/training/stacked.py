"""Several networks of one architecture, stacked along the channels into one wide network.

A layer of the stacked network holds the weights of that layer of all networks, concatenated, and
its channels are grouped by network: the convolutions of B networks are one convolution with B times
as many groups. A pass through all networks thus takes as many kernel launches as a pass through
one, and autograd, mixed precision, dropout and the running statistics of batch norm work unchanged.

This requires that the channels stay grouped by network. DenseNet, for example, concatenates maps
along the channels, which mixes the networks. Networks are therefore stacked only if every layer is
of a supported type and a trial with random weights yields the outputs of the separate networks.

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
"""Layers with weights, and their attributes that are multiplied by the number of networks."""

_WITHOUT_WEIGHTS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Identity, nn.Flatten, nn.Dropout),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
)
"""Layers that process every channel separately."""

_DIFFERENCE = 0.001
"""Maximum relative difference of logits due to rounding in float32; it is about 1 if networks are
mixed."""


class StackedNetworks(nn.Module):
    """Several networks as one, with copies of their weights.

    Args:
        networks: B networks of one architecture, for which :func:`can_be_stacked` is true.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count: int = len(networks)
        self.network: nn.Module = copy.deepcopy(networks[0])
        self.network.zero_grad()  # gradients would have the shapes of a single network
        for name, layer in list(self.network.named_modules()):
            for attribute in _SIZES.get(type(layer), ()):
                setattr(layer, attribute, self.count * getattr(layer, attribute))
            if type(layer) is nn.Linear:
                self.network.set_submodule(name, _Linears(layer, self.count))
        weights = concatenated([network.state_dict() for network in networks])
        for name, value in self.network.state_dict(keep_vars=True).items():
            value.data = weights[name]

    def forward(self, images_BNCHW: Tensor) -> Tensor:
        """Return the logits [B, N, K] of every network for its normalised images."""
        logits = self.network(images_BNCHW.transpose(0, 1).flatten(1, 2))
        of_each: Tensor = logits.unflatten(1, (self.count, -1)).transpose(0, 1)
        return of_each

    @torch.no_grad()
    def copy_to(self, networks: Sequence[nn.Module]) -> None:
        """Copy weights and running statistics back into the networks, in the original order."""
        for network, own in zip(networks, self.split(self.network.state_dict()), strict=True):
            for name, value in network.state_dict().items():
                value.copy_(own[name])

    def split(self, values: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Split named tensors of the stacked network into copies for every network."""
        parts: list[dict[str, Tensor]] = [{} for _ in range(self.count)]
        for name, value in values.items():
            every = value.chunk(self.count) if value.dim() else [value] * self.count
            for part, own in zip(parts, every, strict=True):
                part[name] = own.clone()
        return parts


def concatenated(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Concatenate named tensors of every network into those of the stacked network."""
    return {
        # Scalars are step counts, which are equal in all networks.
        name: torch.cat([part[name] for part in parts]) if value.dim() else value.clone()
        for name, value in parts[0].items()
    }


class _Linears(nn.Module):
    """Batched linear layers: [N, B * D] -> [N, B * K]."""

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


def can_be_stacked(network: nn.Module, image: tuple[int, int, int]) -> bool:
    """Return whether networks of an architecture can be stacked, as determined by a trial.

    Args:
        network: One of the networks; it is not modified.
        image: C, H, W of its images.
    """
    every = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    shares = len(every) > len(list(network.parameters()))  # shared weights would be stacked twice
    supported = all(_is_supported(module) for module in network.modules())
    return bool(every) and not shares and supported and _matches_separate_networks(network, image)


def _is_supported(module: nn.Module) -> bool:
    """Return whether a module is of a type that can keep channels grouped by network."""
    if type(module) in _SIZES:
        return True
    has_own = any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False)))
    is_leaf = next(module.children(), None) is None
    return not has_own and (not is_leaf or type(module) in _WITHOUT_WEIGHTS)


@torch.no_grad()
def _matches_separate_networks(network: nn.Module, image: tuple[int, int, int]) -> bool:
    networks = [_perturbed(network, index) for index in range(2)]
    images = torch.randn(2, 2, *image, generator=stream(0, "wide", "images"))
    separate = torch.stack([one(some) for one, some in zip(networks, images, strict=True)])
    try:
        found: Tensor = StackedNetworks(networks).eval()(images)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False  # forward() depends on the number of channels or the type of a layer
    if found.shape != separate.shape:
        return False
    return bool((found - separate).norm() <= _DIFFERENCE * separate.norm())


def _perturbed(network: nn.Module, index: int) -> nn.Module:
    """Return a copy with perturbed weights, since the initial weights of a branch may be 0.

    It is on the CPU and in float32, so that rounding on a device neither hides nor causes a
    difference.
    """
    other = copy.deepcopy(network).to("cpu", torch.float32).eval()
    generator = stream(0, "wide", index)
    for parameter in other.parameters():
        per_row = torch.randn(len(parameter), *(1,) * (parameter.dim() - 1), generator=generator)
        parameter.add_(per_row / (10 * parameter[0].numel()))  # scaled down by the number of inputs
    return other
