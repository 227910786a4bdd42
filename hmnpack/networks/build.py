"""From a configuration to an initialised network."""

from collections.abc import Callable

import torch
from torch import nn

from hmnpack.networks.convnet import ConvNet
from hmnpack.registry import Registry
from hmnpack.runtime import seeded
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

Builder = Callable[[NetworkConfig, int, ImageShape], nn.Module]
NETWORKS: Registry[Builder] = Registry("network")
"""Names without a colon; ``family:name`` asks another library."""


@NETWORKS.register("convnet")
def _convnet(config: NetworkConfig, classes: int, image: ImageShape) -> nn.Module:
    return ConvNet(classes, image, config.width, config.depth)


def build_network(
    config: NetworkConfig, *, classes: int, image: ImageShape, generator: torch.Generator
) -> nn.Module:
    """Return a network with random weights, on the CPU.

    Args:
        config: Its name and sizes.
        classes: Number of classes K.
        image: Shape of the images it will see.
        generator: Decides every weight.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    with seeded(generator):
        return NETWORKS[config.name](config, classes, image)
