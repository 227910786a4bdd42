"""The loss of IDM: class means, and a cross-entropy whose weight grows with a network's accuracy.

Zhao et al., Improved Distribution Matching for Dataset Condensation, CVPR 2023, with the factor of
its released code. Shapes: K classes, m synthetic images of each, D features.
"""

from torch import Tensor
from torch.nn import functional as F


def trust(weight: float, correct: Tensor, seen: int) -> Tensor | None:
    """Return the factor of the cross-entropy: a weight times an accuracy **in percent**.

    Args:
        weight: The setting ``ce_weight``.
        correct: Real images that the network classified correctly in its training so far; a scalar
            on its device, which need not be waited for.
        seen: Real images in that training; 0: not trained yet, and not trusted.

    Returns:
        A scalar; None stands for 0.

    Example:
        >>> float(trust(0.5, Tensor([70]), 100))
        35.0
    """
    return correct * (weight * 100 / seen) if seen else None


def calibrated_loss(
    real_KD: Tensor,
    features_KmD: Tensor,
    logits_KmC: Tensor,
    classes_K: Tensor,
    factor: Tensor | None,
) -> Tensor:
    """Return the loss, summed over some classes.

    Per class, it is the squared distance between the mean real and the mean synthetic features,
    plus ``factor`` times the mean cross-entropy of the synthetic images.

    Args:
        real_KD: Mean features of each class's real images.
        features_KmD: Features of the synthetic images.
        logits_KmC: Their logits of all C classes.
        classes_K: Indices of these K classes, int64.
        factor: See :func:`trust`; None: no cross-entropy.
    """
    distance = (real_KD - features_KmD.mean(1)).square().sum()
    if factor is None:
        return distance
    labels = classes_K[:, None].expand(logits_KmC.shape[:2]).flatten()
    entropy = F.cross_entropy(logits_KmC.flatten(0, 1), labels, reduction="sum")
    return distance + factor * entropy / logits_KmC.shape[1]
