"""Real images as a network sees them: the outputs of its last block.

Shapes: N images, D features of the last block.
"""

import torch
from torch import Tensor

from hmnpack.augment import normalise
from hmnpack.matching.pool import RealData
from hmnpack.networks import FeatureNetwork

_BATCH = 512


@torch.no_grad()
def embedded(network: FeatureNetwork, data: RealData, rows: Tensor) -> Tensor:
    """Return the last block's outputs of some real images, without augmentation: [n, D].

    Args:
        network: The network.
        data: The real images.
        rows: int64 [n], which of them.
    """
    parts = []
    for some in rows.split(_BATCH):
        images = normalise(data.images[some].float() / 255, data.normalisation)
        parts.append(network.features(images)[-1].flatten(1))
    return torch.cat(parts)
