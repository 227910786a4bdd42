"""The cache of accuracies: one entry per network, keyed by everything that affects its accuracy.

A store can therefore be shared by any number of evaluations, including concurrent ones.
"""

from collections.abc import Sequence

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.networks import library_version
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import Entry

_KIND = "network-3"
"""Version of an entry; increase it when training or the content of an entry changes."""


def network_facts(bench: Bench, row: str, index: int, images: TrainingSet) -> tuple[object, ...]:
    """Return everything that affects a network's accuracy: its cache key.

    The number of networks in the row, the other rows and the number of networks trained as one
    batch do not affect it.

    Args:
        bench: What the rows have in common.
        row: Name of the row; it also names the random streams of the row's networks.
        index: Index of the network in the row.
        images: The network's training set.
    """
    config = bench.config
    return (
        config.network.model_dump_json(),
        config.train.model_dump_json(),
        config.min_steps,
        config.seed,
        row,
        index,
        bench.classes,
        bench.normalisation.model_dump_json(),
        kind_of(bench.device),
        images.digest,
        bench.test.digest,
        *library_version(config.network),
    )


def entries_of(
    bench: Bench, row: str, indices: Sequence[int], sets: Sequence[TrainingSet]
) -> list[Entry]:
    """Return the cache entries of some networks of a row; an empty list without a store.

    Args:
        bench: What the rows have in common.
        row: Name of the row.
        indices: Indices of the networks; network `i` is trained on ``sets[i]``.
        sets: The training set of every network in the row.
    """
    if bench.store is None:
        return []
    return [
        bench.store.entry(_KIND, *network_facts(bench, row, index, sets[index]))
        for index in indices
    ]


def cached_accuracies(
    bench: Bench, row: str, indices: Sequence[int], sets: Sequence[TrainingSet]
) -> dict[int, float]:
    """Return the cached accuracies, in percent, by index of the network.

    Args:
        bench: What the rows have in common.
        row: Name of the row.
        indices: Indices of the networks to look up.
        sets: The training set of every network in the row.
    """
    entries = entries_of(bench, row, indices, sets)
    found = {
        index: accuracy_in(entry) for index, entry in zip(indices, entries, strict=bool(entries))
    }
    return {index: accuracy for index, accuracy in found.items() if accuracy is not None}


def accuracy_in(entry: Entry) -> float | None:
    """Return an entry's accuracy in percent; None if it has no valid one."""
    found = (entry.value() or {}).get("accuracy")
    return found if isinstance(found, float) and 0 <= found <= 100 else None


def cache_accuracy(entry: Entry, accuracy: float) -> None:
    """Cache an accuracy, in percent; it replaces the training checkpoint.

    Raises:
        BadSettings: if the entry cannot be written.
    """
    entry.finish({"accuracy": float(accuracy)})
