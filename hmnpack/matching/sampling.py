"""Which images a step takes: the same number of every class, without a loop over classes."""

import torch
from torch import Tensor

from hmnpack.schema.container import ContainerSpec


class ClassSampler:
    """Draws real images, so many of each class.

    Args:
        labels: int64 [N].
        classes: Number of classes K; each has an image.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        self.counts = torch.bincount(labels.cpu(), minlength=classes)
        self.starts = self.counts.cumsum(0) - self.counts
        self.by_class = labels.argsort(stable=True)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return indices [K, count], each drawn uniformly from its class, with replacement."""
        uniform = torch.rand(len(self.counts), count, generator=generator, dtype=torch.float64)
        places = (uniform * self.counts[:, None]).long() + self.starts[:, None]
        return self.by_class[places.to(self.by_class.device)]


def choose_instances(spec: ContainerSpec, most: int, generator: torch.Generator) -> Tensor:
    """Return indices [K, n] of synthetic images: n = at most ``most`` different ones per class."""
    order = torch.rand(spec.classes, spec.instances, generator=generator).argsort(1)
    return order[:, :most] + torch.arange(spec.classes)[:, None] * spec.instances
