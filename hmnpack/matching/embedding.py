"""Real images as a network sees them: the outputs of its last block, and how it classifies them.

Shapes: n images, D features of the last block.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.matching.data import RealData
from hmnpack.networks import FeatureNetwork
from hmnpack.training import images_at_a_time

_BATCH = 512
"""Images at a time, at most."""


@torch.no_grad()
def embedded(network: FeatureNetwork, data: RealData, rows: Tensor) -> Tensor:
    """Return the last block's outputs of some real images, without augmentation: [n, D].

    Args:
        network: The network.
        data: The real images.
        rows: int64 [n], which of them.
    """
    return torch.cat([last.flatten(1) for _, last in _last_blocks(network, data, rows)])


@torch.no_grad()
def difficulty(network: FeatureNetwork, data: RealData, rows: Tensor) -> Tensor:
    """Return the cross-entropy of some real images, without augmentation, in nats: [n].

    Args:
        network: The network.
        data: The real images and their labels.
        rows: int64 [n], which of them.
    """
    losses = [
        F.cross_entropy(network.classified(last), data.labels[some], reduction="none")
        for some, last in _last_blocks(network, data, rows)
    ]
    return torch.cat(losses)


def _last_blocks(
    network: FeatureNetwork, data: RealData, rows: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give some of the rows, and the last block's outputs for them, batch by batch."""
    batch = images_at_a_time(_BATCH, data.shape.height, data.shape.width)
    for some in rows.split(batch):
        yield some, network.features(data.normalised(some))[-1]
