"""Seeding the layers of a network that draw random numbers, such as dropout."""

import contextlib

import torch
from torch import nn

from hmnpack.runtime.seeds import seeded_rng

_DRAW_NOTHING = (
    "activation",
    "batchnorm",
    "container",
    "conv",
    "flatten",
    "instancenorm",
    "linear",
    "normalization",
    "padding",
    "pooling",
)
"""Modules of ``torch.nn.modules`` whose classes, apart from :data:`_DRAW`, draw nothing."""

_DRAW = (nn.RReLU, nn.MultiheadAttention, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def seeded_layers(
    network: nn.Module, generator: torch.Generator, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Return the context in which a network's layers draw from a seed.

    It does nothing for networks that are known to draw nothing: seeding costs time.

    Args:
        network: The network.
        generator: CPU generator; one seed is drawn from it.
        device: Device of the network.
    """
    if all(_draws_nothing(module) for module in network.modules()):
        return contextlib.nullcontext()
    return seeded_rng(generator, device)


def _draws_nothing(module: nn.Module) -> bool:
    home = type(module).__module__
    if home.startswith("hmnpack."):
        return True
    known = [f"torch.nn.modules.{name}" for name in _DRAW_NOTHING]
    return home in known and not isinstance(module, _DRAW)
