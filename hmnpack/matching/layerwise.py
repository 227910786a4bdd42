"""The loss of CAFE: class means of every layer, and a term that keeps the classes apart.

Wang et al., CAFE: Learning to Condense Dataset by Aligning Features, CVPR 2022, section 3, with the
weights of its released code. Shapes: K classes, D features of a layer, n real images in all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

EARLY = 0.1
"""Weight of the maps of all blocks but the last."""

LATE = 1.0
"""Weight of the last block's map before its pooling."""

POOLED = 2.0
"""Weight of the network's last features: the released code counts them as a map and as a vector."""

DISCRIMINATION = 0.01
"""Weight of the discrimination term."""


def layer_weights(layers: int) -> list[float]:
    """Return the weight of each layer: the maps before the poolings, then the last features.

    Example:
        >>> layer_weights(4)
        [0.1, 0.1, 1.0, 2.0]
    """
    return [EARLY] * (layers - 2) + [LATE, POOLED]


def layer_distance(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the squared distance between class means, summed over classes and weighted layers.

    Args:
        real: Class means of every layer's features, each [K, D]; the last are those that the
            classifier receives.
        synthetic: The same of the synthetic images.
    """
    weights = layer_weights(len(real))
    terms = zip(weights, real, synthetic, strict=True)
    return torch.stack([weight * (r - s).square().sum() for weight, r, s in terms]).sum()


def discrimination(real_nD: Tensor, labels_n: Tensor, centres_KD: Tensor) -> Tensor:
    """Return the summed cross-entropy of real images, classified by synthetic class means.

    The logits are inner products of a real image's last features with each class mean. The weight
    ``DISCRIMINATION`` is included.

    Args:
        real_nD: Last features of the real images; constants.
        labels_n: Their classes, int64.
        centres_KD: Mean last features of each class's synthetic images.
    """
    return DISCRIMINATION * F.cross_entropy(real_nD @ centres_KD.T, labels_n, reduction="sum")
