"""Compressing: from a data set to a bundle, stage by stage, resumable, no arithmetic of its own.

The stages are those of :mod:`hmnpack.schema.stages`: networks are trained on the real images and
cached, the container is fitted to one objective after another, and pruned if it is over budget. A
checkpoint holds all that the next step depends on, and every random number comes from a stream
that is named by its step: a run that was stopped anywhere ends with the same bytes as one that was
not (on a CPU; an accelerator adds in no fixed order).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch

from hmnpack.bundle import Bundle
from hmnpack.condensing.checkpoint import Checkpoint, checkpoint_of, key_of
from hmnpack.condensing.fitting import Clock, Fitting
from hmnpack.condensing.job import Job
from hmnpack.condensing.learning import fit_container
from hmnpack.condensing.objectives import Inputs
from hmnpack.condensing.plan import Plan, plan
from hmnpack.container import budget as budgets
from hmnpack.errors import BadSettings
from hmnpack.pruning import Trainings, check_prune_settings, pruned
from hmnpack.runtime.devices import choose_device, default_on_cpu, free_memory
from hmnpack.runtime.output import check_distinct, check_output_path
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import World, joined
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.stages import has_stage
from hmnpack.sources import Source, SourceOptions, seen_and_held_out


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

    Raises:
        BadSettings: if the minutes are not a number.
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

    def __post_init__(self) -> None:
        if self.max_minutes is not None and math.isnan(self.max_minutes):
            raise BadSettings("max_minutes nan is not a number of minutes; give one, such as 60")


def check_output(output: Path | str, options: RunOptions) -> None:
    """Check, before any work, that a run may write its output and go on from its checkpoint.

    Args:
        output: The file to be.
        options: Whether to resume, and whether to replace what is there.

    Raises:
        OutputExists: if the output is there already, or an unfinished run is not to be resumed.
        BadSettings: if nothing can be written there.
    """
    check_output_path(output, force=options.force)
    checkpoint = Checkpoint(checkpoint_of(Path(output)))
    checkpoint.check_free(resume=options.resume, force=options.force)


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
    listener: Listener = no_progress,
    on_plan: Callable[[Plan], object] | None = None,
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
        on_plan: Called on rank 0 with the plan, once, after the data set is open and before the
            first step.

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
    if options.unpruned is not None:
        check_output_path(options.unpruned, force=options.force or options.resume)
        for other in (output, checkpoint_of(Path(output))) if output is not None else ():
            check_distinct(options.unpruned, other, "the output, or its checkpoint")
    with joined(device) as world:
        run = _Run(ipc, options, device, world, listener if world.rank == 0 else no_progress)
        checkpoint = run.checkpoint(Path(output)) if output is not None else None
        planned = plan(
            *(data, ipc),
            recipe=recipe,
            config=config,
            settings=settings,
            device=device,
            source_options=source_options,
            listener=listener,
        )
        if on_plan is not None and world.rank == 0:
            on_plan(planned)
        bundle = _condensed(planned, run, checkpoint, source_options.cache_root)
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
                check_output(output, self.options)
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

    def key(self, source: Source, config: CompressConfig) -> str:
        """Return what tells the run from others whose checkpoint it may not go on with."""
        return key_of(source.train.fingerprint, str(self.ipc), config, self.device)

    def clock(self) -> Clock:
        """Return when to save and when to stop, counted from now."""
        options = self.options
        return Clock(options.max_minutes, options.checkpoint_seconds, options.should_pause)

    def max_memory(self) -> int | None:
        """Return what a chunk of classes may take, in bytes; None: no bound."""
        if self.options.max_memory is not None:
            return self.options.max_memory
        return free_memory(self.device)


def _condensed(planned: Plan, run: _Run, checkpoint: Checkpoint | None, cache: Path) -> Bundle:
    """Return the bundle, after all stages that the checkpoint has not done."""
    source, config = planned.source, planned.config
    job = _job(source, config, run)
    real = job.real_data(run.device)
    probe = job.probe(run.options.probes, real)
    if checkpoint is not None:  # only now, as it may end a paused run
        run.open(checkpoint, run.key(source, config))
    fitting = Fitting(run.clock(), checkpoint, run.listener, world=run.world, probe=probe)
    inputs = Inputs(
        real,
        job.spec,
        config,
        world=run.world,
        max_memory=run.max_memory(),
        check=fitting.check,
    )
    container = fit_container(inputs, fitting, cache)
    if not job.is_pruned:
        return job.bundle(container, real, run.ipc)
    done = fitting.trainings(container)
    bundle = job.bundle(container, real, budgets.ipc_of(job.spec))
    check = partial(fitting.after_trainings, container, done)
    return _pruned(
        bundle, job, run, Trainings(world=run.world, done=done, check=check, listener=run.listener)
    )


def _job(source: Source, config: CompressConfig, run: _Run) -> Job:
    """Return what is condensed, if every stage can be done, and all ranks are to do the same."""
    image, classes, over = source.image, len(source.classes), has_stage(config, "pruning")
    if run.options.unpruned is not None and not over:
        raise BadSettings(
            f"{run.options.unpruned} would be the bundle before pruning, but prune.strategy is "
            "none; choose a strategy"
        )
    spec = budgets.plan(run.ipc, classes, image, config.container, over_budget=over)
    key = run.key(source, config)
    run.agree(key, "the ranks have different data, settings, devices or versions of torch")
    seen, held_out = seen_and_held_out(source.train, config.holdout, config.seed)
    check_prune_settings(config.prune, len(held_out))
    return Job(source, config, spec, seen, held_out)


def _pruned(bundle: Bundle, job: Job, run: _Run, trainings: Trainings) -> Bundle:
    """Return the bundle pruned back to the budget; write it as it is, where that is asked for."""
    if run.options.unpruned is not None and run.world.rank == 0:
        bundle.save(run.options.unpruned, force=True)
    return pruned(
        bundle,
        run.ipc,
        job.config.prune,
        seed=job.config.seed,
        device=run.device,
        held_out=job.held_out,
        trainings=trainings,
    )
