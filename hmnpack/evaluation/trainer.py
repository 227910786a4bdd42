"""Trains the networks of a row from scratch, each on its own set of images, and tests them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.cache import cache_accuracy, cached_accuracies, entries_of
from hmnpack.networks import build_network
from hmnpack.runtime.kept import Entry
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

    Cached networks are not trained again, and interrupted trainings resume.

    Args:
        bench: What the rows have in common.
        row: Name of the row; it also names the random streams of the row's networks.
        sets: The training set of every network in the row.
        only: Indices of the networks to train; None: all.

    Raises:
        BadSettings: if the cache cannot be written, or a training checkpoint cannot be read.
        Diverged: if a training diverges.
    """
    wanted = range(len(sets)) if only is None else only
    found = cached_accuracies(bench, row, wanted, sets)
    missing = [index for index in wanted if index not in found]
    for group in equal_groups(missing, sets, bench.at_once):
        found |= _accuracies_of(bench, _Group(row, group, sets, before=len(found)))
    return [found[index] for index in wanted]


def trained_networks(bench: Bench, row: str, sets: Sequence[TrainingSet]) -> list[nn.Module]:
    """Train one network on each set as :func:`train_row` does; return the networks, not cached.

    Args:
        bench: What the rows have in common; its test images and store are not used.
        row: Name of the row; it also names the random streams of the row's networks.
        sets: The training set of every network in the row.

    Raises:
        Diverged: if a training diverges.
    """
    found: dict[int, nn.Module] = {}
    for group in equal_groups(range(len(sets)), sets, bench.at_once):
        before = len(found)

        def work(
            part: Sequence[int], group: Sequence[int] = group, before: int = before
        ) -> list[nn.Module]:
            return _fitted(bench, _Group(row, part, sets, before + group.index(part[0])))

        found |= zip(group, within_memory(group, work), strict=True)
    return [found[index] for index in range(len(sets))]


def equal_groups(
    indices: Sequence[int], sets: Sequence[TrainingSet], at_once: int
) -> list[tuple[int, ...]]:
    """Group networks of a row for batched training; all sets of a group have equally many images.

    Args:
        indices: Indices of the networks.
        sets: The training set of every network in the row.
        at_once: Most networks per group, 1 or more.
    """
    alike: dict[int, tuple[int, ...]] = {}
    for index in indices:
        count = len(sets[index].labels)
        alike[count] = (*alike.get(count, ()), index)
    parts = (groups_of(some, at_once) for some in alike.values())
    return [tuple(group) for some in parts for group in some]


@dataclass(frozen=True)
class _Group:
    """Networks of a row that are trained as one batch.

    Attributes:
        row: Name of the row.
        indices: Indices of the group's networks.
        sets: The training set of every network in the row.
        before: Number of networks of the row that are already trained.
    """

    row: str
    indices: Sequence[int]
    sets: Sequence[TrainingSet]
    before: int

    def row_progress(self, listener: Listener) -> Listener:
        """Return a listener that reports this group's epochs as part of the whole row's."""

        def report(stage: str, done: int, total: int, **facts: float) -> None:
            del stage  # name of the training; the row's is more useful to a reader of the table
            epochs = total // len(self.indices)
            listener(self.row, self.before * epochs + done, len(self.sets) * epochs, **facts)

        return report


def _accuracies_of(bench: Bench, group: _Group) -> dict[int, float]:
    """Return the accuracies of a group's networks, by index; split it if memory runs out.

    The cache is queried again: another process may have trained some since the row started.
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
    """Train networks as one batch, test and cache them; return their accuracies in percent."""
    entries = entries_of(bench, group.row, group.indices, group.sets)
    networks = _fitted(bench, group, entries)
    found = accuracies(
        networks,
        bench.test.images,
        bench.test.labels,
        normalisation=bench.normalisation,
        precision=bench.config.train.precision,
    )
    for entry, accuracy in zip(entries, found, strict=bool(entries)):
        cache_accuracy(entry, accuracy)
    return found


def _fitted(bench: Bench, group: _Group, entries: Sequence[Entry] = ()) -> list[nn.Module]:
    """Train networks as one batch, resuming from and saving to the entries, if there are any."""
    config = bench.config
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
        listener=group.row_progress(bench.listener),
    )
    return networks


def _network(bench: Bench, row: str, index: int) -> nn.Module:
    return build_network(
        bench.config.network,
        classes=bench.classes,
        image=bench.image,
        generator=stream(bench.config.seed, "evaluate", row, index),
    ).to(bench.device)
