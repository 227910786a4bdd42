"""Sampling of the images of a step: the same number from every class."""

import torch
from torch import Tensor

from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ContainerSpec


class ClassSampler:
    """Draws equally many real images of each class, or of one part of each class.

    Args:
        labels: Class of each image, int64 [N]; or its part, counted over all classes.
        classes: Number of classes K, or of parts over all classes; none may be empty.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        self.counts: Tensor = torch.bincount(labels.cpu(), minlength=classes)
        self.starts: Tensor = self.counts.cumsum(0) - self.counts
        self.by_class: Tensor = labels.argsort(stable=True)

    def draw(self, count: int, generator: torch.Generator, classes: Tensor | None = None) -> Tensor:
        """Return indices [k, count], drawn uniformly from each class, with replacement.

        Args:
            count: Images per class.
            generator: CPU generator.
            classes: Classes to draw from, int64 [k] on the CPU; None: all.
        """
        counts, starts = self.counts, self.starts
        if classes is not None:
            counts, starts = counts[classes], starts[classes]
        uniform = torch.rand(len(counts), count, generator=generator, dtype=torch.float64)
        places = (uniform * counts[:, None]).long() + starts[:, None]
        return self.by_class[to_device(places, self.by_class.device)]

    def up_to(self, most: int, generator: torch.Generator, classes: Tensor) -> tuple[Tensor, ...]:
        """Return indices of each class: all its images if there are at most ``most``.

        Of more, ``most`` are drawn uniformly, with replacement.

        Args:
            most: Maximum number of images per class.
            generator: CPU generator.
            classes: Classes to draw from, int64 [k] on the CPU.
        """
        drawn = self.draw(most, generator, classes)
        spans = zip(
            drawn, self.starts[classes].tolist(), self.counts[classes].tolist(), strict=True
        )
        return tuple(
            self.by_class[start : start + count] if count <= most else some
            for some, start, count in spans
        )


class EpochSampler:
    """Draws batches of each class without replacement, epoch by epoch, as IDC does.

    The incomplete last batch of an epoch is dropped. A class with fewer images than a batch repeats
    them. Steps may be requested in any order: only the permutation of the last epoch used is
    cached, and any other is recomputed.

    Args:
        labels: int64 [N].
        classes: Classes to draw from; none may be empty.
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
        """Return the indices of a step's images, int64 [k, count] on the CPU."""
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
    """Return indices [K, m] of synthetic images, distinct, with m at most ``most``.

    Every class has the same number, so m is also limited by the smallest class.

    Args:
        spec: The container.
        most: Maximum number of images per class.
        generator: CPU generator.
        part_K: Part of each class to choose from, int64 [K]; None: the full class.
        parts: Number of parts per class; image i belongs to part ``i % parts``. From a part with
            one image more than the others, one is left out.
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
