"""The full-dataset baseline, whose networks are trained once for all bundles of a dataset.

They are cached in the cache folder; if it is not writable, the evaluation continues without it.
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
"""Most epochs on the full dataset. The paper trains for 2,000 epochs on a few hundred images. On
the full dataset that would take days, and epochs that depend on the budget need one row each."""


def whole_row(bench: Bench, source: Source, cache_root: Path) -> Row:
    """Return the row of networks that are trained on all real images.

    The row does not depend on the bundle: the images are normalised by their own statistics, and
    the number of epochs is limited to 300.

    Args:
        bench: What the rows have in common.
        source: The dataset, with the bench's test split.
        cache_root: Cache folder. Its subfolder ``accuracies/`` is used, or the bench's store if
            that is not writable.

    Raises:
        Diverged: if a training diverges.
    """
    bench = replace(_of_the_data(bench, source), store=_store_of(bench, cache_root))
    train = source.train
    one = TrainingSet(train.pixels, train.labels, 4 * train.pixels.numel(), train.fingerprint)
    sets = [one] * bench.config.repeats
    return make_row(bench.config, WHOLE_ROW, sets, train_row(bench, WHOLE_ROW, sets))


def _of_the_data(bench: Bench, source: Source) -> Bench:
    """Return the bench without properties of the bundle; the test set is keyed by fingerprint."""
    train = bench.config.train
    epochs = min(train.epochs, MOST_EPOCHS)
    config = bench.config.model_copy(update={"train": train.model_copy(update={"epochs": epochs})})
    test = replace(bench.test, identity=source.test.fingerprint if source.test else "")
    return replace(bench, config=config, normalisation=normalisation_of(source.train), test=test)


def _store_of(bench: Bench, cache_root: Path) -> Store:
    shared = Store(cache_root / "accuracies", optional=True)
    return shared if bench.store is None or shared.is_writable() else bench.store
