"""The ConvNet that dataset condensation is measured with.

Shape legend: N images, K classes, C channels, H height, W width of an image; h w of a feature map.
"""

from torch import Tensor, nn

from hmnpack.errors import BadSettings
from hmnpack.networks.block import EPSILON, block
from hmnpack.networks.features import FeatureNetwork
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

_SMALL = 28
"""Images with this as their longer side grow by 4 in the first layer, as IDC has it for MNIST."""


class Block(nn.Module):
    """Convolution 3x3, instance normalisation with scale and shift, ReLU, mean over 2x2.

    Args:
        channels: Channels that come in.
        width: Channels that go out.
        padding: Zeros around the image before the convolution, in pixels.
    """

    def __init__(self, channels: int, width: int, padding: int) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(channels, width, 3, padding=padding)
        self.norm: nn.GroupNorm = nn.GroupNorm(width, width, eps=EPSILON)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, h // 2, w // 2]."""
        conv, norm = self.conv, self.norm
        parts = conv.weight, conv.bias, norm.weight, norm.bias
        return block(x, *parts, self.padding, groups=conv.groups)


class ConvNet(FeatureNetwork):
    """Equal blocks, then one linear layer (320,010 parameters at 10 classes, 3 x 32 x 32).

    Args:
        classes: Number of classes K.
        image: Shape of the images; 28 pixels are padded to 32 by the first layer.
        width: Channels of every block.
        depth: Number of blocks; each halves the side.

    Raises:
        BadSettings: if the images are too small for so many blocks.
    """

    def __init__(self, classes: int, image: ImageShape, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        padding = 3 if max(image.height, image.width) == _SMALL else 1
        height, width_px = (side + 2 * (padding - 1) for side in (image.height, image.width))
        if min(height, width_px) >> depth == 0:
            raise BadSettings(
                f"a ConvNet of {depth} blocks halves the side {depth} times, but the images are "
                f"{image.height}x{image.width}; use a smaller depth"
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

    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""
        logits: Tensor = self.classifier(last.flatten(1))
        return logits


def convnet(config: NetworkConfig, classes: int, image: ImageShape) -> ConvNet:
    """Return the ConvNet of a configuration: see ``ConvNet``."""
    return ConvNet(classes, image, config.width, config.depth)
