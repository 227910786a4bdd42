"""From a configuration to an initialised network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.networks.convnet import ConvNet
from hmnpack.networks.resnet_ap import ResNetAP
from hmnpack.registry import Registry
from hmnpack.runtime import seeded
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

SMALL_SIDE = 64
"""Up to this side, in pixels, a ResNet's stem keeps the size of the images."""

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
    return ResNetAP(classes, image)


@FAMILIES.register("torchvision")
def _torchvision(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    name = _known(config, models.list_models(module=models))
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    _fit_first_layer(network, image.channels)
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


def fit_stem(network: nn.Module, image: ImageShape) -> nn.Module:
    """Make a ResNet's stem fit for small images, as is usual for CIFAR; return the network.

    For images of up to 64 pixels, a network that starts with a 7x7 convolution of stride 2
    (``conv1``) and a max pooling (``maxpool``) gets a 3x3 convolution of stride 1 and no pooling:
    the ResNets and their kin. Other networks stay as they are.

    Args:
        network: It is changed in place; the new layer is initialised as the old one was: normally,
            by its fan-out.
        image: Shape of the images.
    """
    first = getattr(network, "conv1", None)
    if image.side > SMALL_SIDE or not hasattr(network, "maxpool"):
        return network
    if not isinstance(first, nn.Conv2d) or first.kernel_size != (7, 7):
        return network
    network.conv1 = nn.Conv2d(image.channels, first.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


def _known(config: NetworkConfig, names: list[str]) -> str:
    """Return the part of the name after the library, if the library has it."""
    library, _, name = config.name.partition(":")
    known: Registry[None] = Registry(f"{library} network")
    for each in names:
        known.register(each)(None)
    if name not in known:
        known[name]
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


def _fit_first_layer(network: nn.Module, channels: int) -> None:
    """Replace the first convolution where the images do not have its channels."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != channels:
                parent, _, leaf = name.rpartition(".")
                setattr(network.get_submodule(parent), leaf, _with_channels(module, channels))
            return


def _with_channels(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    if layer.groups != 1:
        raise BadSettings(f"this network takes {layer.in_channels} channels, not {channels}")
    settings: Any = {
        name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }
    fitted = nn.Conv2d(channels, layer.out_channels, bias=layer.bias is not None, **settings)
    nn.init.kaiming_normal_(fitted.weight, mode="fan_out", nonlinearity="relu")
    return fitted
