"""From a bundle and a data set to a table: the bundle's row, then the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.container import container_of, decode
from hmnpack.errors import BadSettings
from hmnpack.evaluation.baselines import Material, baseline_rows
from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.checks import check_rows, fitting_test_split
from hmnpack.evaluation.compare import BUNDLE_ROW
from hmnpack.evaluation.protocol import Recorded, recorded
from hmnpack.evaluation.rows import make_row
from hmnpack.evaluation.trainer import train_row
from hmnpack.registry import PROTOCOLS
from hmnpack.runtime.devices import choose_device, default_on_cpu
from hmnpack.runtime.kept import Store
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Row
from hmnpack.schema.score import Score
from hmnpack.settings import merged, protocol_of
from hmnpack.sources import Source, SourceOptions, as_seen, open_source
from hmnpack.training import at_once_on, side_by_side

_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        rows: The bundle's row, then the baselines. The bytes row is missing where the budget
            does not hold one JPEG file of every class.
        score: The bundle's row as a manifest records it.
        config: The protocol, as it was followed.
    """

    rows: tuple[Row, ...]
    score: Score
    config: EvaluateConfig


@default_on_cpu
def evaluate(  # noqa: PLR0913
    bundle: str | Path | Bundle,
    data: str | PathLike[str] | Source,
    config: EvaluateConfig | None = None,
    *,
    protocol: str | None = None,
    settings: Mapping[str, object] | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    at_once: int | None = None,
    work: str | Path | None = None,
    listener: Listener = no_progress,
) -> Evaluation:
    """Train networks from scratch on a bundle's images, and test them on real ones.

    Args:
        bundle: A bundle or its path.
        data: The data set, or what ``open_source`` takes. Its test split is used once per network,
            after the last epoch; its training split for the baselines. With the setting
            ``held_out`` both are parts of its training split: see ``as_seen``.
        config: Network, training, baselines, repeats, seed: all of them, instead of a protocol.
        protocol: Name of the settings: ``paper`` or, if there is neither, ``short``.
        settings: What is to be other than in those, nested or by dotted path: `train.epochs`.
        device: Where to train: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, where it is a string; and the cache that the whole
            data's accuracies are kept in.
        at_once: Networks of a row that are trained at a time, where the memory takes so many; it
            decides no result but its rounding. None: as many as the device takes.
        work: Work directory, which caches every network's accuracy or the state of its training:
            an interrupted evaluation resumes. None: nothing is cached.
        listener: Called after every epoch; a stage is a row, or the choice of a quality.

    Raises:
        BadData: if the data has no images to test on, or is not of the bundle's shape and classes.
        BadBundle: if the file is not a whole bundle.
        BadSettings: for an unknown setting or protocol, or a value that is refused; if the
            network is unknown or does not take the images, or JPEG does not; or no network is to
            be trained at once; or ``work`` cannot be read or written.
        Diverged: if a training fails.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    if "protocol" in (settings or {}):
        raise BadSettings("a protocol is what settings start from; name it by `protocol`")
    config = merged(_base(config, protocol, bundle.manifest), settings or {})
    place = choose_device(device)
    most = at_once_on(place, at_once)
    source = open_source(data, source_options, listener)
    if config.held_out:
        source = as_seen(bundle.manifest, source)
    store = None if work is None else Store(Path(work))
    if store is not None:
        store.check_writable()
    bench = bench_of(bundle.manifest, source, config, place, listener, at_once=most)
    bench = replace(bench, store=store)
    protocol_used = recorded(bench.config, bundle.manifest)  # before any training
    own = bundle_set(bundle)
    sets = [own] * bench.config.repeats
    accuracies = train_row(bench, BUNDLE_ROW, sets)
    score = _score(bench, source, protocol_used, len(own.labels), accuracies)
    material = Material(source, bundle.manifest, source_options.cache_root)
    row = make_row(bench.config, BUNDLE_ROW, sets, accuracies)
    return Evaluation((row, *baseline_rows(bench, material)), score, bench.config)


def _base(
    config: EvaluateConfig | None, protocol: str | None, manifest: Manifest
) -> EvaluateConfig:
    """Return the settings that those of a call are put over."""
    if config is not None and protocol is not None:
        raise BadSettings("a protocol and a config are two sets of settings; give one of them")
    if config is not None:
        return config
    return protocol_of(protocol or next(iter(PROTOCOLS)), manifest)


def bench_of(
    manifest: Manifest,
    source: Source,
    config: EvaluateConfig,
    device: torch.device,
    listener: Listener,
    *,
    at_once: int = 1,
) -> Bench:
    """Return what the rows of a bundle's table have in common.

    Args:
        manifest: Of the bundle.
        source: The data set; rows are tested on its test split.
        config: The protocol that was asked for.
        device: Where to train.
        listener: Called after every epoch.
        at_once: Networks of a row that are trained at a time, 1 or more.

    Raises:
        BadData: if the data has no test split, or is not of the bundle's shape and classes.
        BadSettings: if a baseline cannot be made of such images.
    """
    test = fitting_test_split(manifest, source)
    check_rows(config, source.image)
    return Bench(
        config=protocol_for(config, (source.name, manifest.source.name)),
        normalisation=manifest.normalisation,
        classes=len(source.classes),
        image=source.image,
        test=TrainingSet(test.images.to(device), test.labels.to(device), test.images.numel()),
        device=device,
        listener=listener,
        at_once=side_by_side(config.network, len(source.classes), source.image, at_once),
    )


def protocol_for(config: EvaluateConfig, names: tuple[str, ...]) -> EvaluateConfig:
    """Return the protocol without ``flip`` where a mirrored image is another class, or none.

    Args:
        config: The protocol that was asked for.
        names: Names of the data set, any of which decides, see :func:`flips_where_alike`.
    """
    kept = flips_where_alike(config.train.augment, names)
    return config.model_copy(update={"train": config.train.model_copy(update={"augment": kept})})


def _score(
    bench: Bench, source: Source, protocol: Recorded, images: int, accuracies: Sequence[float]
) -> Score:
    """Return what a manifest records of networks that were trained on a bundle's images."""
    config = bench.config
    return Score(
        protocol=protocol.name,
        config=protocol.changes,
        network=config.network.name,
        seed=config.seed,
        data=source.name,
        held_out=config.held_out,
        fingerprint=source.test.fingerprint if source.test else "",
        images=images,
        accuracies=tuple(accuracies),
    )


def bundle_set(bundle: Bundle) -> TrainingSet:
    """Return the images that a bundle decodes to."""
    container = container_of(bundle.manifest.container, bundle.tensors)
    manifest = bundle.manifest
    identity = f"{manifest.data_sha256} {manifest.container.model_dump_json()}"
    return TrainingSet(decode(container), container.labels(), manifest.ledger.bytes, identity)
