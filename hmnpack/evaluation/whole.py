"""The whole data's row, whose networks are trained once for all bundles of a data set.

They are cached beside the data, without which the work goes on.
"""

from dataclasses import replace
from pathlib import Path

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.compare import WHOLE_ROW
from hmnpack.evaluation.rows import make_row
from hmnpack.evaluation.trainer import train_row
from hmnpack.runtime.kept import Store
from hmnpack.schema.result import Row
from hmnpack.sources import Source, normalisation_of

MOST_EPOCHS = 300
"""Epochs on the whole data at most: the 2,000 that the paper trains on a few hundred images would
take days, and would make another row for every budget."""


def whole_row(bench: Bench, source: Source, cache_root: Path) -> Row:
    """Return the row of networks that are trained on all real images.

    It does not depend on the bundle: the images are normalised by their own statistics, and more
    than 300 epochs are taken for 300.

    Args:
        bench: What the rows have in common.
        source: The data set, with the test split that the bench has.
        cache_root: Folder of everything that can be made again; ``accuracies/`` in it is used, or
            the bench's store where that cannot be written to.

    Raises:
        Diverged: if a training fails.
    """
    bench = replace(_of_the_data(bench, source), store=_store_of(bench, cache_root))
    train = source.train
    one = TrainingSet(train.images, train.labels, 4 * train.images.numel(), train.fingerprint)
    sets = [one] * bench.config.repeats
    return make_row(bench.config, WHOLE_ROW, sets, train_row(bench, WHOLE_ROW, sets))


def _of_the_data(bench: Bench, source: Source) -> Bench:
    """Return the bench with nothing of the bundle in it, and its images named by fingerprint."""
    train = bench.config.train
    epochs = min(train.epochs, MOST_EPOCHS)
    config = bench.config.model_copy(update={"train": train.model_copy(update={"epochs": epochs})})
    test = replace(bench.test, identity=source.test.fingerprint if source.test else "")
    return replace(bench, config=config, normalisation=normalisation_of(source.train), test=test)


def _store_of(bench: Bench, cache_root: Path) -> Store:
    shared = Store(cache_root / "accuracies", optional=True)
    return shared if bench.store is None or shared.is_writable() else bench.store
