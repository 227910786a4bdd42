"""K-means, to choose images that stand for the rest of their class."""

import torch
from torch import Tensor


def kmeans(
    points_ND: Tensor, clusters: int, generator: torch.Generator, rounds: int = 15
) -> Tensor:
    """Return cluster centres by Lloyd's algorithm from randomly chosen points.

    A centre that loses all its points stays where it is.

    Args:
        points_ND: [N, D].
        clusters: Number of centres, at most N.
        generator: Chooses the points to start from.
        rounds: Iterations.

    Returns:
        Centres [clusters, D].
    """
    start = torch.randperm(len(points_ND), generator=generator)[:clusters]
    centres = points_ND[start.to(points_ND.device)].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points_ND, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points_ND)
        counts = torch.bincount(nearest, minlength=clusters).to(points_ND).unsqueeze(1)
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return centres


def nearest_points(points_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """Return, for each centre in turn, the nearest point that no earlier centre took: int64 [K].

    Args:
        points_ND: [N, D].
        centres_KD: [K, D], with K at most N.
    """
    distances = torch.cdist(centres_KD, points_ND)
    chosen = []
    for row in distances:
        index = row.argmin()
        chosen.append(index)
        distances[:, index] = torch.inf
    return torch.stack(chosen)
