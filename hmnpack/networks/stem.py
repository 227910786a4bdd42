"""Adapting first layers to small images and to any number of colour channels.

Shape legend: C channels of an image.
"""

from typing import Any

from torch import nn

from hmnpack.errors import BadSettings
from hmnpack.schema.container import ImageShape

SMALL_SIDE = 64
"""Longest side, in pixels, of images that the first layer does not downsample."""


def fit_stem(network: nn.Module, image: ImageShape) -> nn.Module:
    """Replace a ResNet's stem for small images, as is usual for CIFAR; return the network.

    For images of up to 64 pixels, a network that starts with a 7x7 convolution of stride 2
    (``conv1``) and max pooling (``maxpool``), such as a ResNet, gets a 3x3 convolution of stride 1
    and no pooling. Other networks are returned unchanged.

    Args:
        network: The network, modified in place. The new layer gets the initialisation of the old
            one: normal, scaled by the fan-out.
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


def fit_first_layer(network: nn.Module, channels: int) -> None:
    """Replace the first convolution if its input channels differ from those of the images.

    Args:
        network: The network, modified in place.
        channels: Channels C of the images.

    Raises:
        BadSettings: if the first convolution is grouped.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != channels:
                parent, _, leaf = name.rpartition(".")
                setattr(network.get_submodule(parent), leaf, _with_channels(module, channels))
            return


def _with_channels(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    if layer.groups != 1:
        raise BadSettings(
            f"this network supports only images with {layer.in_channels} channels, got {channels}; "
            "choose another network"
        )
    settings: Any = {
        name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }
    fitted = nn.Conv2d(channels, layer.out_channels, bias=layer.bias is not None, **settings)
    nn.init.kaiming_normal_(fitted.weight, mode="fan_out", nonlinearity="relu")
    return fitted
