"""The cache of accuracies: one entry for each network, named by all that decides its accuracy.

A store may therefore serve any number of evaluations, also several at a time.
"""

from collections.abc import Sequence

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.networks import library_version
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import Entry

_KIND = "network-3"
"""To be raised when training, or what is cached of it, changes."""


def network_facts(bench: Bench, row: str, index: int, images: TrainingSet) -> tuple[object, ...]:
    """Return everything that decides a network's accuracy: the key of the cache.

    How many networks a row has, which other rows there are, and how many networks are trained at
    once decide none.

    Args:
        bench: What the rows have in common.
        row: Name of the row, and of its networks' random streams.
        index: Number of the network in the row.
        images: What it is trained on.
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
    """Return the entries of some networks of a row; none where nothing is cached.

    Args:
        bench: What the rows have in common.
        row: Name of the row.
        indices: Which networks: each is trained on the set of its index.
        sets: The images of every network of the row.
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
    """Return the accuracies, in percent, of those networks that were trained before, by index.

    Args:
        bench: What the rows have in common.
        row: Name of the row.
        indices: Which networks.
        sets: The images of every network of the row.
    """
    entries = entries_of(bench, row, indices, sets)
    found = {
        index: accuracy_in(entry) for index, entry in zip(indices, entries, strict=bool(entries))
    }
    return {index: accuracy for index, accuracy in found.items() if accuracy is not None}


def accuracy_in(entry: Entry) -> float | None:
    """Return the accuracy that an entry holds, in percent; None where it holds no such number."""
    found = (entry.value() or {}).get("accuracy")
    return found if isinstance(found, float) and 0 <= found <= 100 else None


def cache_accuracy(entry: Entry, accuracy: float) -> None:
    """Cache an accuracy, in percent, in place of the state of the training.

    Raises:
        BadSettings: if it cannot be written.
    """
    entry.finish({"accuracy": float(accuracy)})
