"""The warm-up: fits a container to random real images before any matching.

The paper does not describe the initialisation. Choosing the images by k-means, or by difficulty,
did not improve the results.
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
from hmnpack.sources.lazy import Images, LazyImages, lazily


class Reconstruction(Objective):
    """The objective of the warm-up: mean squared error of pixels.

    Args:
        targets: One real image for each synthetic one, uint8 [N, C, H, W].
        config: Settings; only the number of images per step is used.
        seed: Seed of the run.
    """

    is_shared = False

    def __init__(self, targets: Images, config: WarmupConfig, seed: int) -> None:
        self.targets = targets
        self.config = config
        self.seed = seed

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss on a random batch, the same on every rank; see ``Objective``."""
        order = torch.randperm(len(self.targets), generator=stream(self.seed, "warm-up", step))
        chosen = to_device(order[: self.config.batch], self.targets.device)
        return F.mse_loss(container.expand(chosen), self.targets[chosen].float() / 255)


def choose_targets(data: RealData, instances: int | Sequence[int], seed: int) -> Images:
    """Choose random real images as targets of the warm-up, class by class.

    With P parts per class, part p supplies images p, p + P, p + 2 P, ... If a class or part has too
    few images, random ones are repeated.

    Args:
        data: The real images, with their parts if classes are partitioned.
        instances: Number of images to choose: one for all classes, or one per class.
        seed: Seed of the run.

    Returns:
        uint8 [N, C, H, W]; read when they are indexed if the real images are.
    """
    counts = [instances] * data.classes if isinstance(instances, int) else instances
    chosen = [data.labels.new_zeros(count) for count in counts]
    for label in range(data.classes):
        generator = stream(seed, "start", label)
        for part in range(data.parts_each):
            rows = data.rows_of(label, part)
            places = chosen[label][part :: data.parts_each]
            some = torch.randperm(len(rows), generator=generator)[: len(places)].to(rows.device)
            places.copy_(rows[_padded(some, len(rows), len(places), generator)])
    images, rows = data.images, torch.cat(chosen)
    return lazily(images, rows) if isinstance(images, LazyImages) else images[rows]


def _padded(chosen: Tensor, among: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Return the chosen positions, padded with random ones to the wanted number."""
    more = torch.randint(among, (wanted - len(chosen),), generator=generator)
    return torch.cat([chosen, more.to(chosen.device)])
