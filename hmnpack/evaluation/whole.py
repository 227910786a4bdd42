"""The whole data's row, whose networks are trained once for all bundles of a data set.

What is kept are accuracies, one small file for each network, named by everything that decides it.
A cache that cannot be read or written never stops the work.
"""

import contextlib
from dataclasses import replace
from pathlib import Path

from hmnpack.errors import HmnError
from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.compare import WHOLE_ROW
from hmnpack.evaluation.kept import accuracy_text, read_accuracy
from hmnpack.networks import library_version
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import work_name
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.result import Row
from hmnpack.sources import Source, normalisation_of

MOST_EPOCHS = 300
"""Epochs on the whole data at most: the 2,000 that the paper trains on a few hundred images would
take days, and would make another row for every budget."""

_KIND = "whole-4"
"""To be raised when training, or a file's layout, changes."""


def whole_row(bench: Bench, source: Source, cache_root: Path) -> Row:
    """Return the row of networks that are trained on all real images.

    It does not depend on the bundle: the images are normalised by their own statistics, and more
    than 300 epochs are taken for 300.

    Args:
        bench: What the rows have in common.
        source: The data set, with the test split that the bench has.
        cache_root: Folder of everything that can be made again; ``accuracies/`` in it is used.
    """
    bench = _of_the_data(bench, source)
    train = source.train
    one = TrainingSet(train.images, train.labels, 4 * train.images.numel())
    sets = [one] * bench.config.repeats
    folder, indices = cache_root / "accuracies", range(bench.config.repeats)
    paths = [folder / f"{_name(bench, source, index)}.json" for index in indices]
    found = {index: kept for index in indices if (kept := read_accuracy(paths[index])) is not None}
    missing = [index for index in indices if index not in found]
    for group in bench.groups(missing, sets):
        made = bench.trained(WHOLE_ROW, group, sets, before=len(found))
        for index, accuracy in zip(group, made, strict=True):
            _write(paths[index], accuracy)
            found[index] = accuracy
    return bench.row(WHOLE_ROW, sets, [found[index] for index in indices])


def _of_the_data(bench: Bench, source: Source) -> Bench:
    train = bench.config.train
    epochs = min(train.epochs, MOST_EPOCHS)
    config = bench.config.model_copy(update={"train": train.model_copy(update={"epochs": epochs})})
    return replace(bench, config=config, normalisation=normalisation_of(source.train))


def _name(bench: Bench, source: Source, index: int) -> str:
    """Return the name of a network's file, by everything that decides its accuracy."""
    config = bench.config
    test = source.test.fingerprint if source.test else ""
    protocol = config.network.model_dump_json(), config.train.model_dump_json(), config.min_steps
    data = len(source.classes), source.train.fingerprint, test
    versions = library_version(config.network)
    return work_name(_KIND, kind_of(bench.device), *data, *protocol, config.seed, index, *versions)


def _write(path: Path, accuracy: float) -> None:
    with contextlib.suppress(OSError, HmnError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, accuracy_text(accuracy), force=True)
