"""One row of an accuracy table: fresh networks trained on sets of images, and tested once each.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from hmnpack.evaluation.kept import Kept, KeptNetwork, keeping
from hmnpack.evaluation.student import t_quantile
from hmnpack.networks import build_network, library_version
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import digest_of
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Figure, Row
from hmnpack.training import accuracies, groups_of, train_together, within_memory
from hmnpack.training.loop import schedule_of


@dataclass(frozen=True)
class TrainingSet:
    """Images of one network.

    Attributes:
        images: float32 in [0, 1], or uint8; [N, C, H, W].
        labels: int64 [N].
        bytes: What the images take in the form that they are counted in.
        identity: Names the images in place of a hash of their values, for decoded ones, whose last
            digits differ from machine to machine. Empty: the values are hashed.
    """

    images: Tensor
    labels: Tensor
    bytes: int
    identity: str = ""

    @property
    def digest(self) -> str:
        """Names images and labels."""
        return digest_of(self.identity or self.images, self.labels)


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
        at_once: Networks that are trained at a time, 1 or more.
        kept: Where accuracies, and trainings under way, are kept, to go on from; None: nowhere.
    """

    config: EvaluateConfig
    normalisation: Normalisation
    classes: int
    image: ImageShape
    test: TrainingSet
    device: torch.device
    listener: Listener
    at_once: int = 1
    kept: Kept | None = None

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

        Those that are kept are not trained again, and trainings under way go on.

        Args:
            row: Name of the row.
            group: Which networks: each is trained on the set of its index.
            sets: The images of every network of the row.
            before: How many networks of the row were trained before, for the listener.
        """
        files = {index: self._file(row, index, sets[index]) for index in group}
        known = {index: file.accuracy() for index, file in files.items() if file is not None}
        found = {index: accuracy for index, accuracy in known.items() if accuracy is not None}
        missing = [index for index in group if index not in found]

        def work(part: Sequence[int]) -> list[float]:
            lesson = _Group(row, part, sets, before + group.index(part[0]))
            return self._trained(lesson, [files[index] for index in part])

        if missing:
            found |= zip(missing, within_memory(missing, work), strict=True)
        return [found[index] for index in group]

    def _trained(self, group: "_Group", files: Sequence[KeptNetwork | None]) -> list[float]:
        own = [file for file in files if file is not None]  # of all, or of none
        networks = [self._network(group.row, index) for index in group.indices]
        train_together(
            networks,
            [(group.sets[index].images, group.sets[index].labels) for index in group.indices],
            self.config.train,
            normalisation=self.normalisation,
            seed=self.config.seed,
            names=[f"evaluate/{group.row}/{index}" for index in group.indices],
            min_steps=self.config.min_steps,
            resume=[file.read_state(self.device) for file in own],
            on_epoch=keeping(own) if own else None,
            listener=group.told(self.listener),
        )
        found = self._tested(networks)
        for file, accuracy in zip(own, found, strict=False):
            file.finish(accuracy)
        return found

    def _tested(self, networks: Sequence[nn.Module]) -> list[float]:
        return accuracies(
            networks,
            self.test.images,
            self.test.labels,
            normalisation=self.normalisation,
            precision=self.config.train.precision,
        )

    def _file(self, row: str, index: int, images: TrainingSet) -> KeptNetwork | None:
        """Return where a network is kept: named by everything that decides its accuracy."""
        if self.kept is None:
            return None
        config = self.config
        protocol = (config.network.model_dump_json(), config.train.model_dump_json())
        return self.kept.network(
            *(*protocol, config.min_steps, config.seed, row, index),
            *(self.normalisation.model_dump_json(), kind_of(self.device)),
            *(images.digest, self.test.digest, *library_version(config.network)),
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
            accuracies=tuple(accuracies),
            figures={
                "bytes": round(statistics.mean(one.bytes for one in sets)),
                "epochs": schedule.epochs,
                "steps": schedule.total,
                **figures,
            },
        )


@dataclass(frozen=True)
class _Group:
    """Networks of a row that are trained at once.

    Attributes:
        row: Name of the row.
        indices: Which of its networks.
        sets: The images of every network of the row.
        before: How many of them were trained before.
    """

    row: str
    indices: Sequence[int]
    sets: Sequence[TrainingSet]
    before: int

    def told(self, listener: Listener) -> Listener:
        """Return a listener to this group's epochs that counts those of the whole row."""

        def heard(stage: str, done: int, total: int, **facts: float) -> None:
            del stage  # the training's name says more than a reader of the table wants
            epochs = total // len(self.indices)
            listener(self.row, self.before * epochs + done, len(self.sets) * epochs, **facts)

        return heard


def half_interval(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of the mean, by Student's t; None for one value.

    Args:
        values: A sample of a normal distribution. Of a bundle's networks, all trained on the same
            images, it is about further networks on that bundle, not about further bundles.
    """
    if len(values) < 2:
        return None
    return t_quantile(0.975, len(values) - 1) * statistics.stdev(values) / sqrt(len(values))
