"""Herding: real images whose features have nearly the mean of their class (Welling; iCaRL)."""

import torch
from torch import Tensor


def herded(features: Tensor, count: int) -> Tensor:
    """Return the images that herding chooses, in the order of its choices: int64 [count].

    Each choice brings the mean of the features chosen so far as near as possible to that of all
    (Rebuffi et al., CVPR 2017, algorithm 4); no image is chosen twice.

    Args:
        features: Features of the images of one class, [N, D].
        count: Images to choose, at most N.

    Example:
        >>> herded(torch.tensor([[0.0], [1.0], [2.0], [9.0]]), 2)
        tensor([2, 1])
    """
    features = features.double().flatten(1)
    mean = features.mean(0)
    total = torch.zeros_like(mean)
    taken = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    chosen = []
    for number in range(1, count + 1):
        far = ((total + features) / number - mean).square().sum(1)
        best = int(far.masked_fill(taken, torch.inf).argmin())
        chosen.append(best)
        taken[best] = True
        total = total + features[best]
    return torch.tensor(chosen, dtype=torch.int64)
