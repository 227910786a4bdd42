"""From a configuration to an initialised network."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.networks.convnet import ConvNet
from hmnpack.networks.resnet_ap import ResNetAP
from hmnpack.networks.small import densenet121, resnet18, vgg16
from hmnpack.networks.stem import fit_first_layer, fit_stem
from hmnpack.registry import Registry
from hmnpack.runtime.seeds import seeded
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

Builder = Callable[[NetworkConfig, int, ImageShape], nn.Module]

NETWORKS: Registry[Builder] = Registry("network")
"""Networks of our own, by name."""

FAMILIES: Registry[Builder] = Registry("network library")
"""Libraries whose networks go by ``library:name``."""


@NETWORKS.register("convnet")
def _convnet(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return ConvNet(classes, image, config.width, config.depth)


@NETWORKS.register("resnet-ap")
def _resnet_ap(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return _checked(ResNetAP(classes, image), config.name, classes, image)


@NETWORKS.register("vgg16")
def _vgg16(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return vgg16(classes, image)


@NETWORKS.register("resnet18")
def _resnet18(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return resnet18(classes, image)


@NETWORKS.register("densenet121")
def _densenet121(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return _checked(densenet121(classes, image), config.name, classes, image)


@FAMILIES.register("torchvision")
def _torchvision(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    name = _known(config, models.list_models(module=models))
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    fit_first_layer(network, image.channels)
    return _checked(fit_stem(network, image), config.name, classes, image)


@FAMILIES.register("timm")
def _timm(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    try:
        import timm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of(f"network {config.name!r}", "timm") from error
    name = _known(config, timm.list_models())
    options: dict[str, Any] = {"num_classes": classes, "in_chans": image.channels}
    network: nn.Module = timm.create_model(name, pretrained=False, **options)
    return _checked(fit_stem(network, image), config.name, classes, image)


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
    library = config.name.partition(":")[0] if ":" in config.name else None
    build = FAMILIES[library] if library is not None else NETWORKS[config.name]
    with seeded(generator):
        return build(config, classes, image)


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


def _known(config: NetworkConfig, names: list[str]) -> str:
    """Return the part of the name after the library, if the library has it."""
    library, _, name = config.name.partition(":")
    known: Registry[None] = Registry(f"{library} network")
    for each in names:
        known.register(each)(None)
    known[name]  # refuses one that is unknown, and names those that are near
    return name


def _checked(network: nn.Module, name: str, classes: int, image: ImageShape) -> nn.Module:
    """Return the network, if it takes such images and answers with logits alone."""
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
