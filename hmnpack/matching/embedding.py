"""Features of real images: the outputs of a network's last block.

Shapes: n images, D features of the last block.
"""

import torch
from torch import Tensor

from hmnpack.matching.data import RealData
from hmnpack.networks import FeatureNetwork
from hmnpack.training.loop import images_at_a_time

_BATCH = 512
"""Maximum batch size."""


@torch.no_grad()
def last_block_features(network: FeatureNetwork, data: RealData, rows: Tensor) -> Tensor:
    """Return the last block's outputs for some real images, without augmentation: [n, D].

    Args:
        network: The network.
        data: The real images.
        rows: Indices of the images, int64 [n].
    """
    batch = images_at_a_time(_BATCH, data.shape.height, data.shape.width)
    return torch.cat(
        [network.features(data.normalised(some))[-1].flatten(1) for some in rows.split(batch)]
    )
