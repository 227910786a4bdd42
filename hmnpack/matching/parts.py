"""Partitioning classes: groups of similar real images, each matched by its own synthetic images.

The mean of a class carries no information about how its images differ, so matching it alone lets
the synthetic images of a class become alike. Matching each part's mean with its own synthetic
images preserves the differences between parts. A part has few synthetic images, so a step can use
all of them; their mean is then exact and not that of a sample.

Shapes: N images, D features.
"""

from dataclasses import replace

import torch
from torch import Tensor

from hmnpack.matching.data import RealData
from hmnpack.matching.embedding import last_block_features
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime.seeds import stream

_ROUNDS = 20
"""Power iterations: enough for a direction of high variance; the exact principal component is not
needed."""


def partition_classes(
    data: RealData, network: FeatureNetwork, wanted: int, instances: int, seed: int
) -> RealData:
    """Return the data with every class divided into parts of similar images.

    A class is bisected recursively, each time along a direction of high variance of the features
    of the images to divide. Parts have equal sizes, up to an image or two of rounding. No class has
    more parts than real or synthetic images, and all classes have the same number of parts.

    Args:
        data: The real images.
        network: Computes the features.
        wanted: Desired number of parts per class.
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
        parts[rows] = cut(last_block_features(network, data, rows), count, generator)
    return replace(data, parts=parts, parts_each=count)


def cut(points_ND: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the part of each point, int64 [N], by recursive bisection.

    Args:
        points_ND: [N, D], with N at least ``count``.
        count: Number of parts, 1 or more; if it is odd, the first side gets one part more.
        generator: CPU generator for the initial directions.
    """
    parts = torch.zeros(len(points_ND), dtype=torch.int64, device=points_ND.device)
    if count == 1:
        return parts
    more = count - count // 2
    order = project_on_spread(points_ND, generator).argsort(stable=True)
    first, second = order.tensor_split([round(len(order) * more / count)])
    parts[first] = cut(points_ND[first], more, generator)
    parts[second] = more + cut(points_ND[second], count - more, generator)
    return parts


def project_on_spread(points_ND: Tensor, generator: torch.Generator) -> Tensor:
    """Return the projection of each centred point onto a direction of high variance: [N].

    The direction approximates the first principal component, by a few power iterations.

    Args:
        points_ND: [N, D].
        generator: CPU generator for the initial direction.
    """
    around = points_ND - points_ND.mean(0)
    direction = torch.randn(around.shape[1], generator=generator).to(around)
    for _ in range(_ROUNDS):
        direction = around.T @ (around @ direction)
        direction = direction / direction.norm().clamp_min(torch.finfo(direction.dtype).tiny)
    return around @ direction
