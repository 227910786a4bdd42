"""VGG16, ResNet18 and DenseNet121 in the forms in which condensation shows them 32 pixels.

They are torchvision's, with the changes that are usual for CIFAR: no layer before the first block
makes a small image smaller, and VGG16 ends in the mean over pixels and one linear layer, where for
ImageNet it has three of 120 million weights.

The paper's Table 4 names the three and says no more. VGG16 and ResNet18 here normalise every image
by itself, and DenseNet121 by batch, as in the code that the paper's baselines come from: DC's
(``networks.py``), which HaBa took over, has the first two, IDC's (``models/densenet_cifar.py``) the
last. By batch, VGG16 and ResNet18 go by the names ``torchvision:vgg16_bn`` and
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
"""Shortest side, in pixels: of a smaller image the last map is one pixel, which cannot be
normalised by itself."""

_VGG_SIDE = 32
"""Sides below this are padded to it by the first layer: five poolings leave one pixel of it."""


def vgg16(_config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Return a VGG16 with instance normalisation that ends in one linear layer.

    Args:
        classes: Number of classes K.
        image: Shape of the images; sides below 32 pixels are padded to it, as a ConvNet pads 28.

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
    for layer in layers:  # as torchvision initialises its own
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def resnet18(_config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Return a ResNet18 with instance normalisation whose stem fits the images.

    Args:
        classes: Number of classes K.
        image: Shape of the images, see :func:`hmnpack.networks.stem.fit_stem`.

    Raises:
        BadSettings: if a side is below 16 pixels.
    """
    from torchvision import models  # noqa: PLC0415 - a second of start-up

    _check_not_tiny("resnet18", image)
    network: nn.Module = models.resnet18(num_classes=classes, norm_layer=_instance_norm)
    fit_first_layer(network, image.channels)
    return fit_stem(network, image)


def densenet121(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Return a DenseNet121 whose first layer, up to 64 pixels, is 3x3 of stride 1, not pooled.

    Args:
        config: Its name.
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
    """Return the zeros above and left of an image that bring it to a VGG's side."""
    rows, columns = (max(0, _VGG_SIDE - side) for side in (image.height, image.width))
    return 1 + (rows + 1) // 2, 1 + (columns + 1) // 2


def _check_not_tiny(name: str, image: ImageShape) -> None:
    if min(image.height, image.width) < _SMALLEST:
        raise BadSettings(
            f"{name} needs images of at least {_SMALLEST}x{_SMALLEST}, not "
            f"{image.height}x{image.width}; use convnet"
        )
