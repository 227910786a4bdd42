"""The warm-up: a container is fitted to random real images before any matching.

The paper does not describe the initialisation. Choosing the images by k-means, or by difficulty,
gave no better results.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.matching.data import RealData
from hmnpack.matching.objective import Objective
from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import WarmupConfig


class Reconstruction(Objective):
    """The objective of the warm-up: mean squared error of pixels.

    Args:
        targets: uint8 [N, C, H, W], one real image for each synthetic one.
        config: Images per step.
        seed: Seed of the run.
    """

    is_shared = False

    def __init__(self, targets: Tensor, config: WarmupConfig, seed: int) -> None:
        self.targets = targets
        self.config = config
        self.seed = seed

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss on a random batch, the same on every rank; see ``Objective``."""
        order = torch.randperm(len(self.targets), generator=stream(self.seed, "warm-up", step))
        chosen = to_device(order[: self.config.batch], self.targets.device)
        return F.mse_loss(container.expand(chosen), self.targets[chosen].float() / 255)


def choose_targets(data: RealData, instances: int | Sequence[int], seed: int) -> Tensor:
    """Choose random real images to initialise from, class by class.

    Of P parts of a class, part p gives images p, p + P, p + 2 P, ... Where a class, or a part of
    it, has fewer images than are wanted, some are repeated at random.

    Args:
        data: The real images, and their parts if they have any.
        instances: Images to choose: per class, or of each class.
        seed: Seed of the run.

    Returns:
        uint8 [N, C, H, W].
    """
    counts = [instances] * data.classes if isinstance(instances, int) else instances
    chosen = [data.labels.new_zeros(count) for count in counts]
    for label in range(data.classes):
        generator = stream(seed, "start", label)
        for part in range(data.parts_each):
            rows = data.rows_of(label, part)
            places = chosen[label][part :: data.parts_each]
            some = torch.randperm(len(rows), generator=generator)[: len(places)].to(rows.device)
            places.copy_(rows[_repeated(some, len(rows), len(places), generator)])
    return data.images[torch.cat(chosen)]


def _repeated(chosen: Tensor, among: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Return the chosen places, and random ones until there are as many as wanted."""
    more = torch.randint(among, (wanted - len(chosen),), generator=generator)
    return torch.cat([chosen, more.to(chosen.device)])
