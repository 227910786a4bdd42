"""Parts of a class: real images that are alike, matched by a share of the synthetic ones.

The mean of a class says nothing of how its images differ, so matching it lets the synthetic images
of a class become alike. Cut into parts, each of which has its own mean and its own images, a class
keeps the differences between its parts; and since a part has few synthetic images, all of them fit
into one step, whose mean is then the part's own and not that of a sample.

Shapes: N images, D features.
"""

from dataclasses import replace

import torch
from torch import Tensor

from hmnpack.matching.data import RealData
from hmnpack.matching.embedding import embedded
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime.seeds import stream

_ROUNDS = 20
"""Of power iteration: enough to cut along a direction of great spread; the greatest is no aim."""


def partition_classes(
    data: RealData, network: FeatureNetwork, wanted: int, instances: int, seed: int
) -> RealData:
    """Return the data with every class cut into parts of like images.

    Parts are of equal size, but for an image or two. Each cut is made along a direction in which
    the features of the images spread widely, so that parts of parts are cut along directions of
    their own. A class has no more parts than real, or synthetic, images.

    Args:
        data: The real images.
        network: Gives the features.
        wanted: Parts of each class, where there are images for so many.
        instances: Synthetic images per class.
        seed: Seed of the run.
    """
    count = min(wanted, instances, int(torch.bincount(data.labels, minlength=data.classes).min()))
    if count < 2:
        return data
    parts = torch.zeros_like(data.labels)
    for label in range(data.classes):
        rows = data.rows_of(label)
        generator = stream(seed, "parts", label)
        parts[rows] = cut(embedded(network, data, rows), count, generator)
    return replace(data, parts=parts, parts_each=count)


def cut(points_ND: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the part of each point, int64 [N]: halves of halves, the larger number first.

    Args:
        points_ND: [N, D], with N at least ``count``.
        count: Number of parts, 1 or more; where it is odd, one side gets a part more.
        generator: CPU generator; starts the search for each direction.
    """
    parts = torch.zeros(len(points_ND), dtype=torch.int64, device=points_ND.device)
    if count == 1:
        return parts
    more = count - count // 2
    order = along_spread(points_ND, generator).argsort(stable=True)
    first, second = order.tensor_split([round(len(order) * more / count)])
    parts[first] = cut(points_ND[first], more, generator)
    parts[second] = more + cut(points_ND[second], count - more, generator)
    return parts


def along_spread(points_ND: Tensor, generator: torch.Generator) -> Tensor:
    """Return where each point lies along a direction of great spread: [N].

    The direction is that of the greatest spread, as near as some rounds of power iteration come.

    Args:
        points_ND: [N, D].
        generator: CPU generator; starts the iteration.
    """
    around = points_ND - points_ND.mean(0)
    direction = torch.randn(around.shape[1], generator=generator).to(around)
    for _ in range(_ROUNDS):
        direction = around.T @ (around @ direction)
        direction = direction / direction.norm().clamp_min(torch.finfo(direction.dtype).tiny)
    return around @ direction
