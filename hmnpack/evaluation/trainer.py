"""Training the networks of a row, each from scratch on its own set of images, and testing them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.cache import cache_accuracy, cached_accuracies, entries_of
from hmnpack.networks import build_network
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.training import (
    accuracies,
    groups_of,
    saving,
    train_together,
    training_in,
    within_memory,
)


def train_row(
    bench: Bench,
    row: str,
    sets: Sequence[TrainingSet],
    only: Sequence[int] | None = None,
) -> list[float]:
    """Train one network on each set; return their accuracies in percent.

    Those that are cached are not trained again, and unfinished trainings resume.

    Args:
        bench: What the rows have in common.
        row: Name of the row, and of its networks' random streams.
        sets: The images of every network of the row.
        only: Indices of the networks that are wanted; None: all.

    Raises:
        BadSettings: if the cache cannot be written, or the state of an unfinished training cannot
            be read.
        Diverged: if a training fails.
    """
    wanted = range(len(sets)) if only is None else only
    found = cached_accuracies(bench, row, wanted, sets)
    missing = [index for index in wanted if index not in found]
    for group in equal_groups(missing, sets, bench.at_once):
        found |= _accuracies_of(bench, _Group(row, group, sets, before=len(found)))
    return [found[index] for index in wanted]


def equal_groups(
    indices: Sequence[int], sets: Sequence[TrainingSet], at_once: int
) -> list[tuple[int, ...]]:
    """Return networks of a row in groups that are trained at once: of equally many images.

    Args:
        indices: Which networks.
        sets: The images of every network of the row.
        at_once: Networks of a group, 1 or more.
    """
    alike: dict[int, tuple[int, ...]] = {}
    for index in indices:
        count = len(sets[index].labels)
        alike[count] = (*alike.get(count, ()), index)
    parts = (groups_of(some, at_once) for some in alike.values())
    return [tuple(group) for some in parts for group in some]


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


def _accuracies_of(bench: Bench, group: _Group) -> dict[int, float]:
    """Return the accuracies of a group's networks, by index; as many are trained as memory takes.

    The cache is asked again: another process may have trained some since the row was begun.
    """
    found = cached_accuracies(bench, group.row, group.indices, group.sets)
    missing = [index for index in group.indices if index not in found]

    def work(part: Sequence[int]) -> list[float]:
        before = group.before + group.indices.index(part[0])
        return _trained(bench, _Group(group.row, part, group.sets, before))

    if missing:
        found |= zip(missing, within_memory(missing, work), strict=True)
    return found


def _trained(bench: Bench, group: _Group) -> list[float]:
    """Train networks at once, test and cache them; return their accuracies in percent."""
    config = bench.config
    entries = entries_of(bench, group.row, group.indices, group.sets)
    networks = [_network(bench, group.row, index) for index in group.indices]
    train_together(
        networks,
        [(group.sets[index].images, group.sets[index].labels) for index in group.indices],
        config.train,
        normalisation=bench.normalisation,
        seed=config.seed,
        names=[f"evaluate/{group.row}/{index}" for index in group.indices],
        min_steps=config.min_steps,
        resume=[training_in(entry, bench.device) for entry in entries],
        on_epoch=saving(entries) if entries else None,
        listener=group.told(bench.listener),
    )
    found = accuracies(
        networks,
        bench.test.images,
        bench.test.labels,
        normalisation=bench.normalisation,
        precision=config.train.precision,
    )
    for entry, accuracy in zip(entries, found, strict=bool(entries)):
        cache_accuracy(entry, accuracy)
    return found


def _network(bench: Bench, row: str, index: int) -> nn.Module:
    return build_network(
        bench.config.network,
        classes=bench.classes,
        image=bench.image,
        generator=stream(bench.config.seed, "evaluate", row, index),
    ).to(bench.device)
