"""From a configuration to an initialised network."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import nn

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.networks.meta import ShapesOnly
from hmnpack.registry import NETWORK_LIBRARIES, NETWORKS
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

Builder = Callable[[NetworkConfig, int, ImageShape], nn.Module]
"""Makes a network of a configuration, for a number of classes and a shape of images."""


def build_network(
    config: NetworkConfig, *, classes: int, image: ImageShape, generator: torch.Generator
) -> nn.Module:
    """Return a network with random weights, on the CPU.

    Args:
        config: Its name and sizes. ``torchvision:name`` and ``timm:name`` take a network of these
            libraries, untrained; see ``fit_stem`` for what changes with small images.
        classes: Number of classes K.
        image: Shape of the images it will see.
        generator: Decides every weight.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    build = _builder(config)
    with seeded_rng(generator):
        return build(config, classes, image)


def network_on_meta(config: NetworkConfig, *, classes: int, image: ImageShape) -> nn.Module:
    """Return a network on torch's device ``meta``: what shapes it has, without any weights.

    A few networks look at numbers while they are built (torchvision's RegNets); these are built on
    the CPU, with weights.

    Args:
        config: Its name and sizes, as for :func:`build_network`.
        classes: Number of classes K.
        image: Shape of the images it would see.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    build = _builder(config)
    try:
        with torch.device("meta"), ShapesOnly():
            return build(config, classes, image)
    except (BadSettings, RuntimeError):
        # Whether it is the settings or only the device, a real network tells.
        trial = stream(0, "trial")
        return build_network(config, classes=classes, image=image, generator=trial)


def library_version(config: NetworkConfig) -> tuple[str, ...]:
    """Return what else than torch's version decides a network: the version of timm, if it is its.

    Args:
        config: Its name.

    Raises:
        MissingExtra: if that is not installed.
    """
    if not config.name.startswith("timm:"):
        return ()
    try:
        return (version("timm"),)
    except PackageNotFoundError as error:
        raise MissingExtra.of(f"network {config.name!r}", "timm") from error


def _builder(config: NetworkConfig) -> Builder:
    library = config.name.partition(":")[0] if ":" in config.name else None
    table, name = (NETWORKS, config.name) if library is None else (NETWORK_LIBRARIES, library)
    builder: Builder = table[name]
    return builder


def checked(network: nn.Module, name: str, classes: int, image: ImageShape) -> nn.Module:
    """Return the network, if it takes such images and answers with logits alone.

    Args:
        network: The network, on the CPU.
        name: What it is called, for messages.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if it does not.
    """
    shape = f"{image.channels}x{image.height}x{image.width}"
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(1, image.channels, image.height, image.width))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadSettings(f"{name} cannot take {shape} images ({reason}); try convnet") from error
    has_extra = getattr(network, "aux_logits", False)
    if has_extra or not isinstance(logits, torch.Tensor) or logits.shape != (1, classes):
        raise BadSettings(f"{name} is not a plain classifier; try another network")
    return network.train()
