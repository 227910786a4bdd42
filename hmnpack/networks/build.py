"""Building an initialised network from a configuration."""

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
"""Builds a network from a configuration, a number of classes and an image shape."""


def build_network(
    config: NetworkConfig, *, classes: int, image: ImageShape, generator: torch.Generator
) -> nn.Module:
    """Return a network with random weights, on the CPU.

    Args:
        config: Name and sizes. ``torchvision:name`` and ``timm:name`` select an untrained network
            of that library; ``fit_stem`` documents the changes for small images.
        classes: Number of classes K.
        image: Shape of the input images.
        generator: Source of all initial weights.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    build = _builder(config)
    with seeded_rng(generator):
        return build(config, classes, image)


def network_on_meta(config: NetworkConfig, *, classes: int, image: ImageShape) -> nn.Module:
    """Return a network on torch's device ``meta``, which has shapes but no weights.

    A few networks, such as torchvision's RegNets, read tensor values during construction; they are
    built on the CPU, with weights.

    Args:
        config: Name and sizes, as for :func:`build_network`.
        classes: Number of classes K.
        image: Shape of the input images.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    build = _builder(config)
    try:
        with torch.device("meta"), ShapesOnly():
            return build(config, classes, image)
    except (BadSettings, RuntimeError):
        # A build on the CPU shows whether the settings or only the device caused the error.
        trial = stream(0, "trial")
        return build_network(config, classes=classes, image=image, generator=trial)


def library_version(config: NetworkConfig) -> tuple[str, ...]:
    """Return the library versions, besides torch's, that a network depends on: timm's, or none.

    Args:
        config: Name of the network.

    Raises:
        MissingExtra: if the network needs timm and timm is not installed.
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
    """Return the network after checking that it maps such images to logits and nothing else.

    Args:
        network: The network, on the CPU.
        name: Name of the network, for error messages.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if the network cannot process the images or has other outputs.
    """
    shape = f"{image.channels}x{image.height}x{image.width}"
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(1, image.channels, image.height, image.width))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadSettings(
            f"{name} cannot process {shape} images ({reason}); try convnet"
        ) from error
    has_extra = getattr(network, "aux_logits", False)
    if has_extra or not isinstance(logits, torch.Tensor) or logits.shape != (1, classes):
        raise BadSettings(
            f"{name} does not return logits of {classes} classes only; choose another network"
        )
    return network.train()
