"""The network of the federated example, its training and its test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hmnpack.dataset.loader import Batches, DeviceLoader
from hmnpack.runtime.seeds import seeded_rng
from hmnpack.schema.config import Augmentation
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources import Split
from hmnpack.training import accuracy


def convnet(
    image: Sequence[int], classes: int, width: int, generator: torch.Generator
) -> nn.Sequential:
    """Return three blocks of convolution, normalisation, ReLU and pooling, and a linear layer."""
    channels, height, across = image
    layers: list[nn.Module] = []
    with seeded_rng(generator):
        for inputs in (channels, width, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.GroupNorm(width, width)]
            layers += [nn.ReLU(), nn.AvgPool2d(2)]
        cells = (height // 8) * (across // 8)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * cells, classes))


@dataclass(frozen=True)
class Learning:
    """How networks are trained and tested.

    Attributes:
        normalisation: Mean and deviation of the channels.
        augment: Augmentations of the training images.
        generator: Random generator of order and augmentations.
    """

    normalisation: Normalisation
    augment: tuple[Augmentation, ...]
    generator: torch.Generator

    def train(self, network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
        """Train a network in batches of 64, by stochastic gradient descent with momentum.

        Args:
            network: The network.
            images: float32 [N, C, H, W] in [0, 1].
            labels: int64 [N].
            steps: Steps, rounded up to whole epochs.
        """
        settings = Batches(64, self.augment, shuffle=True, normalise=True)
        loader = DeviceLoader(images, labels, self.normalisation, settings, self.generator)
        optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
        for _ in range(math.ceil(steps / len(loader))):
            for batch, targets in loader:
                optimiser.zero_grad()
                cross_entropy(network(batch), targets).backward()
                optimiser.step()

    def accuracy(self, network: nn.Module, test: Split) -> float:
        """Return the accuracy on a test split, in percent."""
        return accuracy(
            *(network, test.images, test.labels),
            normalisation=self.normalisation,
            precision="float32",
        )
