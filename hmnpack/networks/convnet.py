"""The ConvNet, the standard network of dataset condensation benchmarks.

Shape legend: N images, K classes, C channels, H height, W width of an image; h w of a feature map.
"""

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
        width: Channels of every block.
        depth: Number of blocks; each halves height and width.

    Raises:
        BadSettings: if the images are too small for this depth.
    """

    def __init__(self, classes: int, image: ImageShape, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        padding = first_padding(image)
        height, width_px = (side + 2 * (padding - 1) for side in (image.height, image.width))
        if depth > deepest(image):
            raise BadSettings(
                f"a ConvNet of {depth} blocks halves the side {depth} times, but the images are "
                f"{image.height}x{image.width}; {_way_out(image)}"
            )
        self.blocks: nn.ModuleList = nn.ModuleList(
            Block(width if i else image.channels, width, 1 if i else padding) for i in range(depth)
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
        for layer in self.blocks:
            x = layer(x)
            outputs.append(x)
        return outputs

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the map of every block before its pooling, and the last block's output.

        Each is [N, width, h, w], for images [N, C, H, W].
        """
        outputs = []
        for layer in self.layers:
            x = layer.unpooled(x)
            outputs.append(x)
            x = F.avg_pool2d(x, 2)
        return [*outputs, x]

    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""
        logits: Tensor = self.classifier(last.flatten(1))
        return logits


def _way_out(image: ImageShape) -> str:
    """Return what to do about a ConvNet that is too deep for some images."""
    most = deepest(image)
    if not most:
        return "use larger images, of 2 pixels a side or more"
    return f"use a smaller depth, {most} or less (network.depth; pool.network.depth of compress)"


def convnet(config: NetworkConfig, classes: int, image: ImageShape) -> ConvNet:
    """Build the ConvNet of a configuration; see ``ConvNet``."""
    return ConvNet(classes, image, config.width, config.depth)
