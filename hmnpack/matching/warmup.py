"""The warm-up: a container is fitted to well-chosen real images before any matching.

Which start is best is open (the paper says nothing); real images are the field's best evidence.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.matching.data import RealData
from hmnpack.matching.embedding import difficulty, embedded
from hmnpack.matching.kmeans import kmeans, nearest_points
from hmnpack.matching.objective import Objective
from hmnpack.matching.pool import Pool
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime import sent, stream
from hmnpack.schema.config import WarmupConfig


class Reconstruction(Objective):
    """The objective of the warm-up: mean squared error of pixels.

    Args:
        targets: uint8 [N, C, H, W], one real image for each synthetic one.
        config: Images per step.
        seed: Seed of the run.
    """

    def __init__(self, targets: Tensor, config: WarmupConfig, seed: int) -> None:
        self.targets = targets
        self.config = config
        self.seed = seed

    def losses(self, container: Container, step: int) -> Iterator[Tensor]:
        """Give the loss of a step on a random batch, the same on every rank; see ``Objective``."""
        order = torch.randperm(len(self.targets), generator=stream(self.seed, "warm-up", step))
        chosen = sent(order[: self.config.batch], self.targets.device)
        yield F.mse_loss(container.expand(chosen), self.targets[chosen].float() / 255)


def targets_of(
    data: RealData, pool: Pool | None, instances: int | Sequence[int], images: str, seed: int
) -> Tensor:
    """Choose the real images to start from, class by class.

    Of P parts of a class, part p gives images p, p + P, p + 2 P, ... Where a class, or a part of
    it, has fewer images than are wanted, some are repeated at random.

    Args:
        data: The real images, and their parts if they have any.
        pool: Its first network chooses; None: images are taken at random.
        instances: Images to choose: per class, or of each class.
        images: ``"random"``; ``"kmeans"``: the images nearest to the k-means centres of their
            class or part, in the features of the last block; ``"easy"``, ``"hard"``: those that
            the network classifies best, or worst, by cross-entropy.
        seed: Seed of the run.

    Returns:
        uint8 [N, C, H, W].
    """
    network = pool.trained(0) if pool is not None and images in CHOICES else None
    counts = [instances] * data.classes if isinstance(instances, int) else instances
    chosen = [data.labels.new_zeros(count) for count in counts]
    for label in range(data.classes):
        generator = stream(seed, "start", label)
        for part in range(data.parts_each):
            rows = data.rows_of(label, part)
            places = chosen[label][part :: data.parts_each]
            count = min(len(places), len(rows))
            if network is not None and count < len(rows):
                some = CHOICES[images](network, data, rows, count, generator)
            else:
                some = torch.randperm(len(rows), generator=generator)[:count].to(rows.device)
            places.copy_(rows[_repeated(some, len(rows), len(places), generator)])
    return data.images[torch.cat(chosen)]


def _repeated(chosen: Tensor, among: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Return the chosen places, and random ones until there are as many as wanted."""
    more = torch.randint(among, (wanted - len(chosen),), generator=generator)
    return torch.cat([chosen, more.to(chosen.device)])


def representatives(
    network: FeatureNetwork,
    data: RealData,
    rows: Tensor,
    count: int,
    generator: torch.Generator,
) -> Tensor:
    """Return which of some real images stand for all: the ones nearest to k-means centres.

    Args:
        network: The outputs of its last block are the features.
        data: The real images.
        rows: int64 [n], which of them.
        count: How many to choose, at most n.
        generator: Starts the centres.

    Returns:
        int64 [count], places in ``rows``.
    """
    features = embedded(network, data, rows)
    return nearest_points(features, kmeans(features, count, generator))


def by_difficulty(
    network: FeatureNetwork,
    data: RealData,
    rows: Tensor,
    count: int,
    generator: torch.Generator,
    *,
    hardest: bool,
) -> Tensor:
    """Return which of some real images a network classifies best, or worst, by cross-entropy.

    Args:
        network: The network.
        data: The real images.
        rows: int64 [n], which of them.
        count: How many to choose, at most n.
        generator: Not used; another choice may need one.
        hardest: The worst, instead of the best.

    Returns:
        int64 [count], places in ``rows``, the most extreme first.
    """
    del generator
    return difficulty(network, data, rows).argsort(descending=hardest, stable=True)[:count]


Choice = Callable[[FeatureNetwork, RealData, Tensor, int, torch.Generator], Tensor]

CHOICES: dict[str, Choice] = {
    "kmeans": representatives,
    "easy": partial(by_difficulty, hardest=False),
    "hard": partial(by_difficulty, hardest=True),
}
"""How a network chooses the images to start from, by the name in the settings."""
