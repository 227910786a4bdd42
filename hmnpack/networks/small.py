"""VGG16, ResNet18 and DenseNet121 in the variants that condensation uses for 32-pixel images.

They are torchvision's models with the usual changes for CIFAR: nothing before the first block
downsamples small images, and VGG16 ends in global average pooling and one linear layer instead of
three with 120 million weights.

The paper's Table 4 names the three networks without details. Here VGG16 and ResNet18 use instance
normalisation and DenseNet121 batch normalisation, as in the code behind the paper's baselines: DC
(``networks.py``, reused by HaBa) for the first two, IDC (``models/densenet_cifar.py``) for the
last. For VGG16 and ResNet18 with batch normalisation use ``torchvision:vgg16_bn`` and
``torchvision:resnet18``.

Shape legend: K classes, C channels, H height, W width of an image.
"""

from torch import nn

from hmnpack.errors import BadSettings
from hmnpack.networks.build import checked
from hmnpack.networks.stem import SMALL_SIDE, fit_first_layer, fit_stem
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

_SMALLEST = 16
"""Minimum side, in pixels: for smaller images the last map would be a single pixel, which instance
normalisation sets to 0."""

_VGG_SIDE = 32
"""Side, in pixels, to which the first layer pads smaller ones: five poolings reduce it to 1."""


def vgg16(_config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build a VGG16 with instance normalisation and a single linear layer as classifier.

    Args:
        classes: Number of classes K.
        image: Shape of the images; sides below 32 pixels are padded to 32, as in the ConvNet.

    Raises:
        BadSettings: if a side is below 16 pixels.
    """
    from torchvision.models import vgg  # noqa: PLC0415 - a second of start-up

    _check_not_tiny("vgg16", image)
    blocks = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
    layers = [
        _instance_norm(layer.num_features) if isinstance(layer, nn.BatchNorm2d) else layer
        for layer in blocks
    ]
    layers[0] = nn.Conv2d(image.channels, 64, 3, padding=_padding(image))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)]
    for layer in layers:  # torchvision's initialisation
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def resnet18(_config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build a ResNet18 with instance normalisation whose stem fits the images.

    Args:
        classes: Number of classes K.
        image: Shape of the images; see :func:`hmnpack.networks.stem.fit_stem`.

    Raises:
        BadSettings: if a side is below 16 pixels.
    """
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    _check_not_tiny("resnet18", image)
    network: nn.Module = models.resnet18(num_classes=classes, norm_layer=_instance_norm)
    fit_first_layer(network, image.channels)
    return fit_stem(network, image)


def densenet121(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build a DenseNet121; up to 64 pixels its stem is a 3x3 convolution of stride 1, unpooled.

    Args:
        config: Name of the network.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if a side is below 16 pixels.
    """
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    _check_not_tiny("densenet121", image)
    network: nn.Module = models.densenet121(num_classes=classes)
    if image.side <= SMALL_SIDE:
        first = nn.Conv2d(image.channels, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight)
        network.set_submodule("features.conv0", first)
        network.set_submodule("features.pool0", nn.Identity())
    fit_first_layer(network, image.channels)
    return checked(network, config.name, classes, image)


def _instance_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels, channels)


def _padding(image: ImageShape) -> tuple[int, int]:
    """Return the vertical and horizontal zero padding that brings an image to 32 pixels."""
    rows, columns = (max(0, _VGG_SIDE - side) for side in (image.height, image.width))
    return 1 + (rows + 1) // 2, 1 + (columns + 1) // 2


def _check_not_tiny(name: str, image: ImageShape) -> None:
    if min(image.height, image.width) < _SMALLEST:
        raise BadSettings(
            f"{name} needs images of at least {_SMALLEST}x{_SMALLEST}, not "
            f"{image.height}x{image.width}; use convnet"
        )
