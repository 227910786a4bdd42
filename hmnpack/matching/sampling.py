"""Which images a step takes: the same number of every class."""

import torch
from torch import Tensor

from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ContainerSpec


class ClassSampler:
    """Draws real images, so many of each class, or of a part of each.

    Args:
        labels: int64 [N]; or, of images in parts, the part's number among all of them.
        classes: Number of classes K, or of parts; each has an image.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        self.counts: Tensor = torch.bincount(labels.cpu(), minlength=classes)
        self.starts: Tensor = self.counts.cumsum(0) - self.counts
        self.by_class: Tensor = labels.argsort(stable=True)

    def draw(self, count: int, generator: torch.Generator, classes: Tensor | None = None) -> Tensor:
        """Return indices [k, count], each drawn uniformly from its class, with replacement.

        Args:
            count: Images of each.
            generator: CPU generator.
            classes: int64 [k] on the CPU, which classes; None: all.
        """
        counts, starts = self.counts, self.starts
        if classes is not None:
            counts, starts = counts[classes], starts[classes]
        uniform = torch.rand(len(counts), count, generator=generator, dtype=torch.float64)
        places = (uniform * counts[:, None]).long() + starts[:, None]
        return self.by_class[to_device(places, self.by_class.device)]


class EpochSampler:
    """Draws batches of each class without replacement, epoch by epoch, as IDC does.

    What is left of an epoch when it does not fill a batch is dropped. A class with fewer images
    than a batch repeats them. Steps may be asked for in any order: only an epoch's permutation is
    cached, and it is drawn again if needed.

    Args:
        labels: int64 [N].
        classes: The classes to draw from; each has an image.
        count: Images per class and batch.
        seed: Seed of the run.
    """

    def __init__(self, labels: Tensor, classes: range, count: int, seed: int) -> None:
        labels = labels.cpu()
        self.rows: dict[int, Tensor] = {
            label: (labels == label).nonzero().flatten() for label in classes
        }
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


def choose_instances(
    spec: ContainerSpec,
    most: int,
    generator: torch.Generator,
    part_K: Tensor | None = None,
    parts: int = 1,
) -> Tensor:
    """Return indices [K, m] of synthetic images: m = at most ``most`` different ones per class.

    Of every class as many are taken, so that m is at most the images of the smallest class.

    Args:
        spec: The container.
        most: Largest number.
        generator: CPU generator.
        part_K: int64 [K], from which part of each class; None: from all of it.
        parts: Parts of a class; its image i is of part ``i % parts``. Of parts with an image more
            than others one is left out.
    """
    order = torch.rand(spec.classes, spec.largest, generator=generator)
    most = min(most, spec.smallest)
    if part_K is not None:
        others = torch.arange(spec.largest) % parts != part_K[:, None]
        order, most = order.masked_fill(others, 1.0), min(most, spec.smallest // parts)
    if spec.smallest < spec.largest:
        absent = torch.arange(spec.largest) >= torch.tensor(spec.counts)[:, None]
        order = order.masked_fill(absent, 1.0)
    chosen = order.argsort(1)[:, :most]
    return chosen + torch.tensor(spec.offsets)[:, None]
