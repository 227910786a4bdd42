"""Compressing: from a data set to a bundle, stage by stage, resumable, no arithmetic of its own.

Stages: pool (networks trained on the real images, cached), warm-up (the container is fitted to
real images), matching (the objective), and the folded container as a bundle. A checkpoint holds
all that the next step depends on, and every random number comes from a stream that is named by its
step: a run that was stopped anywhere ends with the same bytes as one that was not (on a CPU; an
accelerator adds in no fixed order).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch

from hmnpack.budget import budget_of, ipc_of, plan
from hmnpack.bundle import Bundle, data_sha256
from hmnpack.checkpoint import Checkpoint, checkpoint_of, key_of
from hmnpack.container import HMN, Container, new_container
from hmnpack.errors import BadSettings
from hmnpack.fitting import Clock, Fitting
from hmnpack.matching import (
    OBJECTIVES,
    GradientMatching,
    Match,
    Pool,
    RealData,
    Reconstruction,
    in_parts,
    pool_of,
    targets_of,
)
from hmnpack.output import refuse_output, refuse_same
from hmnpack.preflight import refuse_classes, refuse_early
from hmnpack.probe import Probe
from hmnpack.pruning import Trainings, pruned, refuse_settings
from hmnpack.ranks import World, joined
from hmnpack.recipes import default_recipe, pool_stages, recipe_of, shape_of
from hmnpack.runtime import (
    Listener,
    choose_device,
    default_on_cpu,
    free_memory,
    silent,
    stream,
)
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest, Provenance, SourceFacts, storable_class_names
from hmnpack.settings import merged
from hmnpack.sources import (
    Source,
    SourceOptions,
    Split,
    normalisation_of,
    open_source,
    seen_and_held_out,
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
        max_memory: Bytes that the maps of one chunk of classes, and what is kept of views, may take
            on an accelerator; None: most of what is free there.
        probes: Quick networks trained in each stage of matching, evenly spaced over its steps, and
            tested on held-out images; 0: none.
        unpruned: Where to write the bundle also as it is before it is pruned to the budget, or
            None. ``force`` or ``resume`` replaces a file there.
    """

    device: str | torch.device = "auto"
    resume: bool = False
    force: bool = False
    max_minutes: float | None = None
    checkpoint_seconds: float = 60.0
    should_pause: Callable[[], bool] = lambda: False
    max_memory: int | None = None
    probes: int = 0
    unpruned: Path | None = None


@default_on_cpu
def compress(  # noqa: PLR0913
    data: str | PathLike[str] | Source,
    ipc: int,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    output: Path | str | None = None,
    options: RunOptions | None = None,
    source_options: SourceOptions | None = None,
    listener: Listener = silent,
) -> Bundle:
    """Condense a data set into a bundle.

    Under ``torchrun`` every rank calls this, with the same arguments: each takes a share of the
    classes, rank 0 writes and tells the listener, and all return the bundle.

    Args:
        data: What :func:`hmnpack.open_source` takes, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of the settings; None: ``fast`` on a CPU, else ``best``.
        config: The settings themselves, instead of a recipe.
        settings: What is to be other than in those, nested or by dotted path: `match.steps`.
        output: Where to write the bundle; its checkpoint lies beside it, as ``<output>.ckpt``.
            None: nothing is written, and the run cannot be resumed.
        options: Device, resuming, limits.
        source_options: How the data set is read.
        listener: Hears of the progress.

    Returns:
        The bundle, written if an output was named.

    Raises:
        BadData: if there are fewer than two classes.
        BadSettings: for an unknown setting, or a value that it refuses.
        BudgetTooSmall: if the budget holds no network.
        OutputExists: if the output is there already, or cannot be written to.
        Paused: if the run was stopped; ``resume`` goes on.
        Diverged: if a loss became infinite or not a number.
        RankLost: if another rank ended before its time.
    """
    options = options or RunOptions()
    source_options = source_options or SourceOptions()
    device = choose_device(options.device)
    if config is not None and recipe is not None:
        raise BadSettings("a recipe and a config are two sets of settings; give one of them")
    recipe = recipe or default_recipe(device.type)
    # What is unknown is refused before minutes of opening.
    merged(config or recipe_of(recipe), settings or {})
    if options.unpruned is not None:
        refuse_output(options.unpruned, force=options.force or options.resume)
        for other in (output, checkpoint_of(Path(output))) if output is not None else ():
            refuse_same(options.unpruned, other, "the output, or its checkpoint")
    with joined(device) as world:
        run = _Run(ipc, options, device, world, listener if world.rank == 0 else silent)
        checkpoint = run.checkpoint(Path(output)) if output is not None else None
        with world.leader_first():
            source = open_source(data, source_options, run.listener)
        refuse_classes(source)
        config = merged(config or recipe_of(recipe, shape_of(source)), settings or {})
        bundle = _condensed(source, config, run, checkpoint, source_options.cache_root)
        with world.leader_first():
            if output is not None and checkpoint is not None and world.rank == 0:
                bundle.save(output, force=options.force)
                checkpoint.clear()
    return bundle


@dataclass(frozen=True)
class _Run:
    """What one run of ``compress`` is: budget, options, device, ranks, and who is told."""

    ipc: int
    options: RunOptions
    device: torch.device
    world: World
    listener: Listener

    def checkpoint(self, output: Path) -> Checkpoint:
        """Return the checkpoint beside an output that may be written."""
        leader = self.world.rank == 0
        checkpoint = Checkpoint(checkpoint_of(output), leader=leader)
        with self.world.leader_first():
            if leader:
                refuse_output(output, force=self.options.force)
                checkpoint.refuse_unless(resume=self.options.resume, force=self.options.force)
        return checkpoint

    def open(self, checkpoint: Checkpoint, key: str) -> None:
        """Read the checkpoint on every rank, and see to it that it was the same one."""
        with self.world.leader_first():
            checkpoint.open(key, resume=self.options.resume)
        state = checkpoint.state
        self.agree(
            None if state is None else (state["stage"], state["step"]),
            f"the ranks see different files as {checkpoint.path}; the output must lie in a folder "
            "that all machines share",
        )

    def agree(self, value: object, otherwise: str) -> None:
        """Refuse to go on if some rank has another value than rank 0."""
        if self.world.any(self.world.of_leader(value) != value)[0]:
            raise BadSettings(otherwise)

    def max_memory(self) -> int | None:
        """Return what a chunk of classes may take, in bytes; None: no bound."""
        if self.options.max_memory is not None:
            return self.options.max_memory
        return free_memory(self.device)


def _condensed(
    source: Source, config: CompressConfig, run: _Run, checkpoint: Checkpoint | None, cache: Path
) -> Bundle:
    """Return the bundle, after all stages that the checkpoint has not done."""
    options = run.options
    over = config.prune.strategy != "none"
    if options.unpruned is not None and not over:
        raise BadSettings(
            f"{options.unpruned} would be the bundle before pruning, but prune.strategy is none; "
            "choose a strategy"
        )
    image, classes = source.image, len(source.classes)
    spec = plan(run.ipc, classes, image, config.container, over_budget=over)
    refuse_early(config, spec, run.device, run.world)
    key = key_of(source.train.fingerprint, str(run.ipc), config, run.device)
    run.agree(key, "the ranks have different data, settings, devices or versions of torch")
    kept, held_out = seen_and_held_out(source.train, config)
    refuse_settings(config.prune, len(held_out))
    real = _real_data(source, kept, run.device)
    probe, judges = _probe(held_out, real, config, options.probes), _judges(held_out, real, config)
    if checkpoint is not None:  # only now, as it may end a paused run
        run.open(checkpoint, key)
    clock = Clock(options.max_minutes, options.checkpoint_seconds, options.should_pause)
    fitting = Fitting(clock, checkpoint, run.listener, world=run.world, probe=probe, judges=judges)
    container = _learned(real, spec, config, fitting, _Means(cache, run.max_memory()))
    if not over:
        return _bundle(source, real, container, config, run.ipc)
    done = fitting.trainings(container)
    trainings = Trainings(
        world=run.world,
        done=done,
        check=lambda: fitting.after_trainings(container, done),
        listener=run.listener,
    )
    bundle = _bundle(source, real, container, config, ipc_of(spec))
    if options.unpruned is not None and run.world.rank == 0:
        bundle.save(options.unpruned, force=True)
    return pruned(
        bundle,
        run.ipc,
        config.prune,
        seed=config.seed,
        device=run.device,
        held_out=held_out,
        trainings=trainings,
    )


def _real_data(source: Source, kept: Split, device: torch.device) -> RealData:
    return RealData(
        images=kept.images.to(device),
        labels=kept.labels.to(device),
        classes=len(source.classes),
        normalisation=normalisation_of(source.train),
        fingerprint=kept.fingerprint,
    )


def _probe(held_out: Split, real: RealData, config: CompressConfig, count: int) -> Probe | None:
    if not count:
        return None
    return Probe(
        held_out.images.to(real.device),
        held_out.labels.to(real.device),
        real.normalisation,
        config.seed,
        count,
    )


def _judges(held_out: Split, real: RealData, config: CompressConfig) -> dict[str, Probe]:
    stages = {"matching": config.match.stopping, "gradient": config.gradient.stopping}
    judges = {
        stage: _probe(held_out, real, config, stopping.probes) for stage, stopping in stages.items()
    }
    return {stage: judge for stage, judge in judges.items() if judge is not None}


@dataclass(frozen=True)
class _Means:
    """Where trained networks are kept, and how much memory a chunk of classes may take."""

    cache: Path
    max_memory: int | None


def _learned(
    real: RealData, spec: ContainerSpec, config: CompressConfig, fitting: Fitting, means: _Means
) -> Container:
    """Return the container after all stages."""
    world, pool = fitting.world, None
    if not all(fitting.is_past(stage) for stage in pool_stages(config)):
        pool, real = _pool(real, spec, config, fitting, means.cache)
    container = new_container(spec, config.container, stream(config.seed, "container"))
    container.to(real.device)
    _warm_up(container, real, pool, config, fitting)
    if config.match.steps and not fitting.is_past("matching"):
        match = Match(real, pool, config.match, config.seed, world, means.max_memory)
        fitting.run("matching", container, OBJECTIVES[config.match.objective](match), config.match)
    if config.gradient.steps:
        check = partial(fitting.check, "a network to match through was trained")
        most = means.max_memory
        gradient = Match(real, pool, config.gradient, config.seed, world, most, check=check)
        fitting.run("gradient", container, GradientMatching(gradient), config.gradient)
    return container


def _pool(
    real: RealData, spec: ContainerSpec, config: CompressConfig, fitting: Fitting, cache: Path
) -> tuple[Pool, RealData]:
    """Return the networks, and the images in parts where a stage to come has a use for these."""
    world, parts = fitting.world, config.match.parts_of(spec.instances)
    with world.leader_first():
        check = partial(fitting.clock.check, "the pool was trained")
        pool = pool_of(
            real,
            config.pool,
            config.seed,
            cache / "pool",
            fitting.listener,
            check,
            snapshots=config.match.snapshots is not None,
        )
    if parts > 1 and not fitting.is_past("matching"):
        real = in_parts(real, pool.trained(0), parts, spec.instances, config.seed)
    if real.parts is not None:
        world.broadcast([real.parts])  # another rank's arithmetic may cut a little elsewhere
    return pool, real


def _warm_up(
    container: Container,
    real: RealData,
    pool: Pool | None,
    config: CompressConfig,
    fitting: Fitting,
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
