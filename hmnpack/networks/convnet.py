"""The ConvNet, the standard network of dataset condensation benchmarks.

Shape legend: N images, K classes, C channels, H height, W width of an image; h w of a feature map.
"""

from math import ceil

from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.errors import BadSettings
from hmnpack.networks.block import EPSILON, block, unpooled_block
from hmnpack.networks.features import FeatureNetwork
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.training import deepest, first_padding


class Block(nn.Module):
    """A 3x3 convolution, affine instance normalisation, ReLU and 2x2 average pooling.

    Args:
        channels: Input channels.
        width: Output channels.
        padding: Zero padding of the convolution, in pixels.
    """

    def __init__(self, channels: int, width: int, padding: int) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(channels, width, 3, padding=padding)
        self.norm: nn.GroupNorm = nn.GroupNorm(width, width, eps=EPSILON)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, h // 2, w // 2]."""
        return block(x, *self._parts, self.padding, groups=self.conv.groups)

    def unpooled(self, x: Tensor) -> Tensor:
        """Return the map before the pooling, [N, width, h, w]."""
        return unpooled_block(x, *self._parts, self.padding, groups=self.conv.groups)

    @property
    def _parts(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        return self.conv.weight, self.conv.bias, self.norm.weight, self.norm.bias


class ConvNet(FeatureNetwork):
    """Identical blocks and a linear classifier (320,010 parameters at 10 classes, 3 x 32 x 32).

    Args:
        classes: Number of classes K.
        image: Shape of the images; the first layer pads images of 28 pixels to 32.
        config: Its channels per block, its depth (each block halves height and width), and the side
            of the squares of pixels that the first block reads as one pixel.

    Raises:
        BadSettings: if the images are too small for this depth.
    """

    def __init__(self, classes: int, image: ImageShape, config: NetworkConfig) -> None:
        super().__init__()
        width, depth, patch = config.width, config.depth, config.patch
        padding = first_padding(image, patch)
        height, width_px = (
            ceil(side / patch) + 2 * (padding - 1) for side in (image.height, image.width)
        )
        if depth > deepest(image, patch):
            raise BadSettings(
                f"a ConvNet of {depth} blocks halves the side {depth} times, but the images are "
                f"{image.height}x{image.width}{_read(patch)}; {_way_out(image, patch)}"
            )
        self.patch = patch
        channels = image.channels * patch**2
        self.blocks: nn.ModuleList = nn.ModuleList(
            Block(width if i else channels, width, 1 if i else padding) for i in range(depth)
        )
        features = width * (height >> depth) * (width_px >> depth)
        self.classifier: nn.Linear = nn.Linear(features, classes)

    @property
    def layers(self) -> list[Block]:
        """The blocks, in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the output of every block, each [N, width, h, w], for images [N, C, H, W]."""
        outputs = []
        x = self._read(x)
        for layer in self.blocks:
            x = layer(x)
            outputs.append(x)
        return outputs

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the map of every block before its pooling, and the last block's output.

        Each is [N, width, h, w], for images [N, C, H, W].
        """
        outputs = []
        x = self._read(x)
        for layer in self.layers:
            x = layer.unpooled(x)
            outputs.append(x)
            x = F.avg_pool2d(x, 2)
        return [*outputs, x]

    def _read(self, x: Tensor) -> Tensor:
        """Return the first block's input for images [N, C, H, W]: squares of pixels as channels.

        Sides that are no multiple of the squares' are padded with zeros, the mean of the images.
        """
        if self.patch == 1:
            return x
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % self.patch, 0, -height % self.patch))
        return F.pixel_unshuffle(padded, self.patch)

    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""
        logits: Tensor = self.classifier(last.flatten(1))
        return logits


def _read(patch: int) -> str:
    """Return how the first block reads the images, for a message."""
    return "" if patch == 1 else f", read in squares of {patch} pixels"


def _way_out(image: ImageShape, patch: int) -> str:
    """Return what to do about a ConvNet that is too deep for some images."""
    most = deepest(image, patch)
    if not most:
        return "use larger images, of 2 pixels a side or more"
    return f"use a smaller depth, {most} or less (network.depth; pool.network.depth of compress)"


def convnet(config: NetworkConfig, classes: int, image: ImageShape) -> ConvNet:
    """Build the ConvNet of a configuration; see ``ConvNet``."""
    return ConvNet(classes, image, config)
