"""Which images a step takes: the same number of every class, without a loop over classes."""

import torch
from torch import Tensor

from hmnpack.runtime import stream
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


class EpochSampler:
    """Draws batches of each class without replacement, epoch by epoch, as the base code does.

    What is left of an epoch when it does not fill a batch is dropped. A class with fewer images
    than a batch repeats them. Any step can be asked for, in any order: nothing is remembered but
    the epoch's order, which is drawn again when it is needed again.

    Args:
        labels: int64 [N].
        classes: The classes to draw from; each has an image.
        count: Images per class and batch.
        seed: Seed of the run.
    """

    def __init__(self, labels: Tensor, classes: range, count: int, seed: int) -> None:
        labels = labels.cpu()
        self.rows = {label: (labels == label).nonzero().flatten() for label in classes}
        self.count = count
        self.seed = seed
        self._orders: dict[int, tuple[int, Tensor]] = {}

    def batch(self, step: int) -> Tensor:
        """Return the indices of a step's images: int64 [k, count], on the CPU."""
        return torch.stack([self._of_class(label, step) for label in self.rows])

    def _of_class(self, label: int, step: int) -> Tensor:
        rows = self.rows[label]
        epoch, place = divmod(step, max(1, len(rows) // self.count))
        known, order = self._orders.get(label, (-1, rows))
        if known != epoch:
            generator = stream(self.seed, "real", label, epoch)
            order = rows[torch.randperm(len(rows), generator=generator)]
            order = order.repeat(-(-self.count // len(order)))
            self._orders[label] = (epoch, order)
        return order[place * self.count : (place + 1) * self.count]


def choose_instances(spec: ContainerSpec, most: int, generator: torch.Generator) -> Tensor:
    """Return indices [K, n] of synthetic images: n = at most ``most`` different ones per class."""
    order = torch.rand(spec.classes, spec.instances, generator=generator).argsort(1)
    return order[:, :most] + torch.arange(spec.classes)[:, None] * spec.instances
