"""One row of an accuracy table: fresh networks trained on sets of images, and tested once each.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from hmnpack.networks import build_network
from hmnpack.runtime import Listener, stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Figure, Row
from hmnpack.student import t_quantile
from hmnpack.together import accuracies, groups_of, train_together, within_memory
from hmnpack.training import schedule_of


@dataclass(frozen=True)
class TrainingSet:
    """Images of one network.

    Attributes:
        images: float32 in [0, 1], or uint8; [N, C, H, W].
        labels: int64 [N].
        bytes: What the images take in the form that they are counted in.
    """

    images: Tensor
    labels: Tensor
    bytes: int


@dataclass(frozen=True)
class Bench:
    """What the rows of a table have in common.

    Attributes:
        config: Network, protocol, repeats, seed.
        normalisation: Of all images, as networks expect them.
        classes: Number of classes K.
        image: Shape of every image.
        test: The images to test on, on the device.
        device: Where to train.
        listener: Hears of every epoch; a stage is a row.
        at_once: Networks that are trained at a time, 1 or more; None: all of a row.
    """

    config: EvaluateConfig
    normalisation: Normalisation
    classes: int
    image: ImageShape
    test: TrainingSet
    device: torch.device
    listener: Listener
    at_once: int | None = 1

    def accuracies(self, row: str, sets: Sequence[TrainingSet]) -> list[float]:
        """Train one network on each set; return their accuracies in percent.

        Args:
            row: Name of the row, and of its networks' random streams.
            sets: The images of every network.
        """
        found: dict[int, float] = {}
        for group in self.groups(range(len(sets)), sets):
            found |= zip(group, self.trained(row, group, sets, before=len(found)), strict=True)
        return [found[index] for index in range(len(sets))]

    def groups(self, indices: Sequence[int], sets: Sequence[TrainingSet]) -> list[tuple[int, ...]]:
        """Return networks of a row in groups that are trained at once: of equally many images.

        Args:
            indices: Which networks.
            sets: The images of every network of the row.
        """
        alike: dict[int, tuple[int, ...]] = {}
        for index in indices:
            count = len(sets[index].labels)
            alike[count] = (*alike.get(count, ()), index)
        parts = (groups_of(some, self.at_once) for some in alike.values())
        return [tuple(group) for some in parts for group in some]

    def trained(
        self, row: str, group: Sequence[int], sets: Sequence[TrainingSet], *, before: int
    ) -> list[float]:
        """Train some networks of a row at once; return their accuracies in percent.

        Args:
            row: Name of the row.
            group: Which networks: each is trained on the set of its index.
            sets: The images of every network of the row.
            before: How many networks of the row were trained before, for the listener.
        """

        def work(part: Sequence[int]) -> list[float]:
            return self._trained(row, part, sets, before + group.index(part[0]))

        return within_memory(group, work)

    def _trained(
        self, row: str, group: Sequence[int], sets: Sequence[TrainingSet], before: int
    ) -> list[float]:
        config, real = self.config, self.test

        def heard(stage: str, done: int, total: int, **facts: float) -> None:
            del stage  # the training's name says more than a reader of the table wants
            epochs = total // len(group)
            self.listener(row, before * epochs + done, len(sets) * epochs, **facts)

        networks = [self._network(row, index) for index in group]
        train_together(
            networks,
            [(sets[index].images, sets[index].labels) for index in group],
            config.train,
            normalisation=self.normalisation,
            seed=config.seed,
            names=[f"evaluate/{row}/{index}" for index in group],
            min_steps=config.min_steps,
            listener=heard,
        )
        return accuracies(
            networks,
            real.images,
            real.labels,
            normalisation=self.normalisation,
            precision=config.train.precision,
        )

    def _network(self, row: str, index: int) -> nn.Module:
        return build_network(
            self.config.network,
            classes=self.classes,
            image=self.image,
            generator=stream(self.config.seed, "evaluate", row, index),
        ).to(self.device)

    def row(
        self,
        name: str,
        sets: Sequence[TrainingSet],
        accuracies: Sequence[float],
        **figures: Figure,
    ) -> Row:
        """Return the row that networks of these accuracies, in percent, trained on the sets, make.

        Args:
            name: Of the row.
            sets: The images of every network.
            accuracies: Of every network.
            figures: Further figures of the row.
        """
        images = round(statistics.mean(len(one.labels) for one in sets))
        schedule = schedule_of(self.config.train, images, self.config.min_steps)
        return Row(
            name=name,
            images=images,
            accuracy_mean=statistics.mean(accuracies),
            accuracy_std=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
            accuracy_ci95=half_interval(accuracies),
            networks=len(accuracies),
            figures={
                "bytes": round(statistics.mean(one.bytes for one in sets)),
                "epochs": schedule.epochs,
                "steps": schedule.total,
                **figures,
            },
        )


def half_interval(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of the mean, by Student's t; None for one value.

    Args:
        values: A sample of a normal distribution. Of a bundle's networks, all trained on the same
            images, it is about further networks on that bundle, not about further bundles.
    """
    if len(values) < 2:
        return None
    return t_quantile(0.975, len(values) - 1) * statistics.stdev(values) / sqrt(len(values))
