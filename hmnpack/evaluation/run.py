"""Evaluates a bundle on a dataset: trains the bundle's row, then the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile
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
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.kept import Store
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Row
from hmnpack.schema.score import Score
from hmnpack.settings import merged, protocol_of
from hmnpack.sources import Source, SourceOptions, as_recorded, as_seen, open_source
from hmnpack.sources.lazy import on_device
from hmnpack.training import at_once_on, side_by_side

_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        rows: The bundle's row, then the baselines. The row of JPEG images is missing if the budget
            does not hold one of every class.
        score: The bundle's row in the form that a manifest records.
        config: The training protocol that was applied.
    """

    rows: tuple[Row, ...]
    score: Score
    config: EvaluateConfig


@with_torch_defaults
def evaluate(  # noqa: PLR0913
    bundle: AnyFile | Bundle,
    data: AnyPath | Source,
    config: EvaluateConfig | None = None,
    *,
    protocol: str | None = None,
    settings: Mapping[str, object] | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    at_once: int | None = None,
    work: AnyPath | None = None,
    listener: Listener = no_progress,
) -> Evaluation:
    """Train networks from scratch on a bundle's images, and test them on real images.

    Args:
        bundle: A bundle or its path.
        data: The dataset, or anything that ``open_source`` accepts. Its test split is used once per
            network, after the last epoch, and its training split for the baselines. With the
            setting ``held_out`` both are parts of its training split: see ``as_seen``.
        config: Complete settings (network, training, baselines, repeats, seed), in place of a
            protocol.
        protocol: Name of the protocol: ``paper`` or ``short``. ``short`` if ``config`` is missing
            too.
        settings: Overrides, nested or by dotted path: `train.epochs`.
        device: Device to train on: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, if it is a string: size and skipping of bad
            images are those of the bundle unless given here. The cache folder in it also
            stores the accuracies on the full dataset.
        at_once: Number of networks of a row trained as one batch, if memory allows. It affects
            results only by rounding. None: the device's default.
        work: Work directory, which caches every network's accuracy or training checkpoint, so that
            an interrupted evaluation resumes. None: nothing is cached.
        listener: Called after every epoch; each row, or trial of a JPEG quality, is a stage.

    Raises:
        BadData: if the dataset has no images to test on, or its image shape or classes are not the
            bundle's.
        BadBundle: if the file is not a valid bundle.
        BadSettings: if a setting or protocol is unknown or a value invalid; if the network is
            unknown; if the network or JPEG does not support the images; if ``at_once`` is less than
            1; or if ``work`` cannot be read or written.
        Diverged: if a training diverges.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    config = config_of(config, protocol, settings, bundle.manifest)
    place = choose_device(device)
    most = at_once_on(place, as_integer(at_once))
    options = as_recorded(bundle.manifest, source_options, data)
    source = open_source(data, options, listener, needs_test=not config.held_out)
    if config.held_out:
        source = as_seen(bundle.manifest, source)
    store = None if work is None else Store(path_of(work))
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


def config_of(
    config: EvaluateConfig | None,
    protocol: str | None,
    settings: Mapping[str, object] | None,
    manifest: Manifest,
) -> EvaluateConfig:
    """Return the settings of a call.

    Args:
        config: Complete settings, or None.
        protocol: Name of the protocol to use in their place, or None.
        settings: Overrides of either, nested or by dotted path.
        manifest: Manifest of the bundle.

    Raises:
        BadSettings: if both are given, or a name is unknown, or a value invalid.
    """
    if "protocol" in (settings or {}):
        raise BadSettings("`protocol` is not a setting; pass the protocol's name as `protocol`")
    if config is not None and protocol is not None:
        raise BadSettings("`protocol` and `config` both define all settings; pass only one of them")
    base = config or protocol_of(protocol or next(iter(PROTOCOLS)), manifest)
    return merged(base, settings or {})


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
        manifest: Manifest of the bundle.
        source: The dataset; rows are tested on its test split.
        config: The requested protocol.
        device: Device to train on.
        listener: Called after every epoch.
        at_once: Number of networks of a row trained as one batch, 1 or more.

    Raises:
        BadData: if the dataset has no test split, or its image shape or classes are not the
            bundle's.
        BadSettings: if a baseline does not support such images.
    """
    test = fitting_test_split(manifest, source)
    check_rows(config, source.image)
    return Bench(
        config=protocol_for(config, (source.name, manifest.source.name)),
        normalisation=manifest.normalisation,
        classes=len(source.classes),
        image=source.image,
        test=TrainingSet(
            on_device(test.pixels, device), test.labels.to(device), test.pixels.numel()
        ),
        device=device,
        listener=listener,
        at_once=side_by_side(config.network, len(source.classes), source.image, at_once),
    )


def protocol_for(config: EvaluateConfig, names: tuple[str, ...]) -> EvaluateConfig:
    """Return the protocol, without ``flip`` if mirroring changes the meaning of an image.

    Args:
        config: The requested protocol.
        names: Names of the dataset; any one of them suffices to disable flips, see
            :func:`flips_where_alike`.
    """
    augment = flips_where_alike(config.train.augment, names)
    return config.model_copy(update={"train": config.train.model_copy(update={"augment": augment})})


def _score(
    bench: Bench, source: Source, protocol: Recorded, images: int, accuracies: Sequence[float]
) -> Score:
    """Return the score that a manifest records for networks trained on a bundle's images."""
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
    """Return the decoded images of a bundle."""
    container = container_of(bundle.manifest.container, bundle.tensors)
    manifest = bundle.manifest
    identity = f"{manifest.data_sha256} {manifest.container.model_dump_json()}"
    return TrainingSet(decode(container), container.labels(), manifest.ledger.bytes, identity)
