"""Untrained networks from torchvision and timm, named ``library:name``."""

from typing import Any

from torch import nn

from hmnpack.errors import MissingExtra
from hmnpack.networks.build import checked
from hmnpack.networks.stem import fit_first_layer, fit_stem
from hmnpack.registry import unknown_name
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape


def torchvision_network(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build a torchvision classifier whose stem fits the images.

    Args:
        config: Name of the network: ``torchvision:name``.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if torchvision has no such classifier, or it cannot process the images.
    """
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    name = _known(config, models.list_models(module=models))
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    fit_first_layer(network, image.channels)
    return checked(fit_stem(network, image), config.name, classes, image)


def timm_network(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build a timm classifier whose stem fits the images.

    Args:
        config: Name of the network: ``timm:name``.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if timm has no such classifier, or it cannot process the images.
        MissingExtra: if timm is not installed.
    """
    try:
        import timm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of(f"network {config.name!r}", "timm") from error
    name = _known(config, timm.list_models())
    options: dict[str, Any] = {"num_classes": classes, "in_chans": image.channels}
    network: nn.Module = timm.create_model(name, pretrained=False, **options)
    return checked(fit_stem(network, image), config.name, classes, image)


def _known(config: NetworkConfig, names: list[str]) -> str:
    """Return the name without the library prefix, after checking that the library has it."""
    library, _, name = config.name.partition(":")
    if name not in names:
        raise unknown_name(f"{library} network", name, names)
    return name
