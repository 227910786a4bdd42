"""ResNet-AP-10: the residual network of condensation benchmarks on ImageNet subsets.

A ResNet with one block per stage, average pooling instead of strides and instance instead of batch
normalisation (IDC, ``models/resnet_ap.py``, which the paper follows).

Shape legend: N images, K classes, C channels, H height, W width of an image; h w of a feature map.
"""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from hmnpack.errors import BadSettings
from hmnpack.networks.build import checked
from hmnpack.networks.features import FeatureNetwork
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

_WIDTH = 64
_SMALL, _MIDDLE = 64, 128
"""Longest image sides, in pixels, that the stem does not downsample, and that it halves."""


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels, channels)


def _conv(before: int, after: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)


def _pooled(x: Tensor, stride: int) -> Tensor:
    return F.avg_pool2d(x, stride) if stride > 1 else x


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, with average pooling after the first convolution.

    Args:
        before: Input channels.
        after: Output channels.
        stride: Kernel size and stride of the pooling, in pixels.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1: nn.Conv2d = _conv(before, after)
        self.norm1: nn.Module = _norm(after)
        self.conv2: nn.Conv2d = _conv(after, after)
        self.norm2: nn.Module = _norm(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                _conv(before, after, 1), nn.AvgPool2d(stride), _norm(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, after, h // stride, w // stride]."""
        y = _pooled(F.relu(self.norm1(self.conv1(x))), self.stride)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNetAP(FeatureNetwork):
    """ResNet-AP-10: a stem, four residual blocks, global average pooling and a linear classifier.

    Args:
        classes: Number of classes K.
        image: Shape of the images. The stem does not downsample images of up to 64 pixels, halves
            those of up to 128, and reduces larger ones to a quarter.

    Raises:
        BadSettings: if a side is below 16 pixels: the last map would be a single pixel, which
            instance normalisation sets to 0.
    """

    def __init__(self, classes: int, image: ImageShape) -> None:
        super().__init__()
        if min(image.height, image.width) < 16:
            raise BadSettings(
                f"resnet-ap needs images of at least 16x16, not {image.height}x{image.width}; "
                "use convnet"
            )
        self.pool = 1 if image.side <= _SMALL else 2 if image.side <= _MIDDLE else 4
        self.conv: nn.Conv2d = _conv(image.channels, _WIDTH, 7 if self.pool == 4 else 3)
        self.norm: nn.Module = _norm(_WIDTH)
        widths = (_WIDTH, _WIDTH, _WIDTH * 2, _WIDTH * 4, _WIDTH * 8)
        self.blocks: nn.ModuleList = nn.ModuleList(
            ResidualBlock(before, after, 1 if index == 0 else 2)
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.classifier: nn.Linear = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the stem and of every block, for images [N, C, H, W]."""
        outputs = [_pooled(F.relu(self.norm(self.conv(x))), self.pool)]
        for layer in self.blocks:
            outputs.append(layer(outputs[-1]))
        return outputs

    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits


def resnet_ap(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    """Build the ResNet-AP of a configuration; see ``ResNetAP``."""
    return checked(ResNetAP(classes, image), config.name, classes, image)
