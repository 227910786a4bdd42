"""One row of an accuracy table: fresh networks trained on sets of images, and tested once each.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from hmnpack.networks import build_network
from hmnpack.runtime import Listener, stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Figure, Row
from hmnpack.student import t_quantile
from hmnpack.training import accuracy, schedule_of, train


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
    """

    config: EvaluateConfig
    normalisation: Normalisation
    classes: int
    image: ImageShape
    test: TrainingSet
    device: torch.device
    listener: Listener

    def accuracies(self, row: str, sets: Sequence[TrainingSet]) -> list[float]:
        """Train one network on each set; return their accuracies in percent.

        Args:
            row: Name of the row, and of its networks' random streams.
            sets: The images of every network.
        """
        return [self.accuracy(row, index, sets) for index in range(len(sets))]

    def accuracy(self, row: str, index: int, sets: Sequence[TrainingSet]) -> float:
        """Train one network of a row; return its accuracy in percent.

        Args:
            row: Name of the row.
            index: Which network: it is trained on the set of that index.
            sets: The images of every network of the row.
        """
        config, real = self.config, self.test
        network = build_network(
            config.network,
            classes=self.classes,
            image=self.image,
            generator=stream(config.seed, "evaluate", row, index),
        ).to(self.device)

        def heard(stage: str, done: int, total: int, **facts: float) -> None:
            del stage  # the training's name says more than a reader of the table wants
            self.listener(row, index * total + done, len(sets) * total, **facts)

        train(
            network,
            sets[index].images.to(self.device),
            sets[index].labels.to(self.device),
            config.train,
            normalisation=self.normalisation,
            seed=config.seed,
            name=f"evaluate/{row}/{index}",
            min_steps=config.min_steps,
            listener=heard,
        )
        return accuracy(
            network,
            real.images,
            real.labels,
            normalisation=self.normalisation,
            precision=config.train.precision,
        )

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
