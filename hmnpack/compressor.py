"""Compressing: from a data set to a bundle, stage by stage, resumable, no arithmetic of its own.

Stages: pool (networks trained on the real images, cached), warm-up (the container is fitted to
real images), matching (the objective), and the folded container as a bundle. A checkpoint holds
all that the next step depends on, and every random number comes from a stream that is named by its
step: a run that was stopped anywhere ends with the same bytes as one that was not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hmnpack.budget import budget_of, plan
from hmnpack.bundle import Bundle, data_sha256
from hmnpack.container import HMN, Container, new_container
from hmnpack.errors import BadData
from hmnpack.fitting import Checkpoint, Clock, Fitting, key_of
from hmnpack.matching import (
    OBJECTIVES,
    Match,
    Pool,
    RealData,
    Reconstruction,
    pool_of,
    targets_of,
)
from hmnpack.output import refuse_output
from hmnpack.recipes import DEFAULT_RECIPE, recipe_of
from hmnpack.runtime import Listener, choose_device, silent, stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest, Provenance, SourceFacts, storable_class_names
from hmnpack.sources import (
    Source,
    SourceOptions,
    hold_out,
    normalisation_of,
    open_source,
)
from hmnpack.version import __version__


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves; nothing here changes the bundle but the kind of device.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ...
        resume: Go on from the checkpoint beside the output, if there is one.
        force: Replace an existing output, and forget a checkpoint that is not resumed.
        max_minutes: Pause after so many minutes, or None.
        checkpoint_seconds: Time between checkpoints.
        should_pause: Asked after every step and epoch; True pauses.
    """

    device: str = "auto"
    resume: bool = False
    force: bool = False
    max_minutes: float | None = None
    checkpoint_seconds: float = 60.0
    should_pause: Callable[[], bool] = lambda: False


def compress(  # noqa: PLR0913
    data: str | Source,
    ipc: int,
    *,
    recipe: str = DEFAULT_RECIPE,
    config: CompressConfig | None = None,
    output: Path | str | None = None,
    options: RunOptions | None = None,
    source_options: SourceOptions | None = None,
    listener: Listener = silent,
) -> Bundle:
    """Condense a data set into a bundle.

    Args:
        data: What :func:`hmnpack.open_source` takes, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of the settings.
        config: The settings themselves, instead of a recipe.
        output: Where to write the bundle; its checkpoint lies beside it, as ``<output>.ckpt``.
            None: nothing is written, and the run cannot be resumed.
        options: Device, resuming, limits.
        source_options: How the data set is read.
        listener: Hears of the progress.

    Returns:
        The bundle, written if an output was named.

    Raises:
        BadData: if there are fewer than two classes.
        BudgetTooSmall: if the budget holds no network.
        OutputExists: if the output is there already, or cannot be written to.
        Paused: if the run was stopped; ``resume`` goes on.
        Diverged: if a loss became infinite or not a number.
    """
    options = options or RunOptions()
    config = config or recipe_of(recipe)
    source_options = source_options or SourceOptions()
    checkpoint = None
    if output is not None:
        output = Path(output)
        refuse_output(output, force=options.force)
        checkpoint = Checkpoint(output.with_name(output.name + ".ckpt"))
        checkpoint.refuse_unless(resume=options.resume, force=options.force)
    clock = Clock(options.max_minutes, options.checkpoint_seconds, options.should_pause)
    device = choose_device(options.device)
    source = open_source(data, source_options, listener) if isinstance(data, str) else data
    if len(source.classes) < 2:
        raise BadData(f"{source.name} has one class; condensing needs two or more to tell apart")
    spec = plan(ipc, len(source.classes), source.image, config.container)
    if checkpoint is not None:
        key = key_of(source.train.fingerprint, str(ipc), config, device)
        checkpoint.open(key, resume=options.resume)
    fitting = Fitting(clock, checkpoint, listener)
    real = _real_data(source, config, device)
    container = _learned(real, spec, config, fitting, source_options.cache_root)
    bundle = _bundle(source, real, container, config, ipc)
    if output is not None and checkpoint is not None:
        bundle.save(output, force=options.force)
        checkpoint.clear()
    return bundle


def _real_data(source: Source, config: CompressConfig, device: torch.device) -> RealData:
    kept, _ = hold_out(source.train, config.holdout, stream(config.seed, "hold-out"))
    return RealData(
        images=kept.images.to(device),
        labels=kept.labels.to(device),
        classes=len(source.classes),
        normalisation=normalisation_of(source.train),
        fingerprint=kept.fingerprint,
    )


def _learned(
    real: RealData, spec: ContainerSpec, config: CompressConfig, fitting: Fitting, cache: Path
) -> Container:
    """Return the container after all stages."""
    pool = pool_of(
        real, config.pool, config.seed, cache / "pool", fitting.listener, fitting.clock.check
    )
    container = new_container(spec, config.container, stream(config.seed, "container"))
    container.to(real.device)
    _warm_up(container, real, pool, config, fitting)
    match = Match(real, pool, config.match, config.seed)
    fitting.run("matching", container, OBJECTIVES[config.match.objective](match), config.match)
    return container


def _warm_up(
    container: Container, real: RealData, pool: Pool, config: CompressConfig, fitting: Fitting
) -> None:
    """Fit the container to real images, then end its norms' dependence on the batch."""
    if fitting.is_past("warm-up"):
        return
    warmup = config.warmup
    if warmup.images != "none" and warmup.steps:
        instances = container.spec.instances
        targets = targets_of(real, pool, instances, warmup.images, config.seed)
        objective = Reconstruction(targets, warmup, config.seed)
        fitting.run("warm-up", container, objective, warmup)
    if isinstance(container, HMN):
        container.freeze()


def _bundle(
    source: Source, real: RealData, container: Container, config: CompressConfig, ipc: int
) -> Bundle:
    tensors = container.stored_tensors()
    spec: ContainerSpec = container.spec
    warmed = config.warmup.images != "none" and config.warmup.steps > 0
    manifest = Manifest(
        source=SourceFacts(
            name=source.name,
            fingerprint=source.train.fingerprint,
            train_images=len(source.train),
            held_out=len(source.train) - len(real.labels),
            skipped=source.skipped,
        ),
        classes=storable_class_names(source.classes),
        normalisation=real.normalisation,
        container=spec,
        ledger=spec.ledger(),
        budget=budget_of(ipc, spec.classes, spec.image),
        config=config,
        provenance=Provenance(
            hmnpack=__version__,
            torch=str(torch.__version__),
            device=real.device.type,
            real_images_used_to_start=warmed,
        ),
        data_sha256=data_sha256(tensors),
    )
    return Bundle(manifest, tensors)
