"""From a bundle and a data set to a table: the bundle's row, then the control rows."""

from dataclasses import dataclass
from pathlib import Path

import torch

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.container import container_of
from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.checks import fitting_test_split
from hmnpack.evaluation.controls import Material, control_rows
from hmnpack.evaluation.names import BUNDLE_ROW
from hmnpack.runtime import Listener, choose_device, silent
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest, Score
from hmnpack.schema.result import Row
from hmnpack.sources import Source, SourceOptions, open_source

_DEFAULT_CONFIG = EvaluateConfig()
_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        rows: The bundle's row, then the control rows. The bytes row is missing where the budget
            does not hold one JPEG file of every class.
        score: The bundle's row as a manifest records it, with the protocol as it was followed.
    """

    rows: tuple[Row, ...]
    score: Score


def evaluate(
    bundle: str | Path | Bundle,
    data: str | Source,
    config: EvaluateConfig = _DEFAULT_CONFIG,
    *,
    device: str = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    listener: Listener = silent,
) -> Evaluation:
    """Train networks from scratch on a bundle's images, and test them on real ones.

    Args:
        bundle: A bundle or its path.
        data: The data set, or what ``open_source`` takes. Its test split is used once per network,
            after the last epoch; its training split for the control rows.
        config: Network, protocol, control rows, repeats, seed.
        device: Where to train: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, where it is a string; and the cache that the whole
            data's accuracies are kept in.
        listener: Hears of every epoch; a stage is a row of the table, or the choice of a quality.

    Raises:
        BadData: if the data has no test split, or is not of the bundle's shape and classes.
        BadBundle: if the file is not a whole bundle.
        BadSettings: if the network is unknown or does not take the images, or JPEG does not.
        Diverged: if a training fails.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    source = data if isinstance(data, Source) else open_source(data, source_options, listener)
    bench = _bench(bundle.manifest, source, config, device, listener)
    own = _bundle_set(bundle)
    sets = [own] * bench.config.repeats
    accuracies = bench.accuracies(BUNDLE_ROW, sets)
    score = Score(
        protocol=bench.config,
        data=source.name,
        fingerprint=fitting_test_split(bundle.manifest, source).fingerprint,
        images=len(own.labels),
        accuracies=tuple(accuracies),
    )
    material = Material(source, bundle.manifest, source_options.cache_root)
    rows = (bench.row(BUNDLE_ROW, sets, accuracies), *control_rows(bench, material))
    return Evaluation(rows, score)


def _bench(
    manifest: Manifest, source: Source, config: EvaluateConfig, device: str, listener: Listener
) -> Bench:
    test, place = fitting_test_split(manifest, source), choose_device(device)
    return Bench(
        config=protocol_for(config, (source.name, manifest.source.name)),
        normalisation=manifest.normalisation,
        classes=len(source.classes),
        image=source.image,
        test=TrainingSet(test.images.to(place), test.labels.to(place), test.images.numel()),
        device=place,
        listener=listener,
    )


def protocol_for(config: EvaluateConfig, names: tuple[str, ...]) -> EvaluateConfig:
    """Return the protocol without ``flip`` where a mirrored image is another class, or none.

    Args:
        config: The protocol that was asked for.
        names: Names of the data set, any of which decides, see :func:`flips_where_alike`.
    """
    kept = flips_where_alike(config.train.augment, names)
    return config.model_copy(update={"train": config.train.model_copy(update={"augment": kept})})


def _bundle_set(bundle: Bundle) -> TrainingSet:
    container = container_of(bundle.manifest.container, bundle.tensors)
    with torch.no_grad():
        images = container.expand()
    return TrainingSet(images, container.labels(), bundle.manifest.ledger.bytes)
