"""``compress``: from a dataset to a bundle, stage by stage, resumable.

The stages are those of :mod:`hmnpack.schema.stages`: networks are trained on the real images and
cached, the container is fitted to one objective after another, and pruned if it is over budget. A
checkpoint holds everything that the next step depends on, and every random number comes from a
stream named by its step. On a CPU an interrupted run therefore ends with the same bytes as an
uninterrupted one; on an accelerator the order of summation varies.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from hmnpack.bundle import Bundle
from hmnpack.condensing.checkpoint import Checkpoint, checkpoint_of, key_of
from hmnpack.condensing.finish import finished, write_result
from hmnpack.condensing.fitting import Clock, Fitting
from hmnpack.condensing.job import Job
from hmnpack.condensing.learning import fit_container
from hmnpack.condensing.objectives import Inputs
from hmnpack.condensing.pace import Pace, now
from hmnpack.condensing.plan import Plan, planned_run, spec_of
from hmnpack.container import Container
from hmnpack.container.budget import ipc_of
from hmnpack.errors import BadSettings
from hmnpack.matching import RealData
from hmnpack.pruning import Trainings, check_prune_settings, pruned
from hmnpack.runtime.devices import choose_device, free_memory
from hmnpack.runtime.interrupts import interrupt_after_saving
from hmnpack.runtime.lock import check_unlocked, locked
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.output import check_distinct, check_output_path
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import World, joined
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.stages import has_stage
from hmnpack.sources import Source, SourceOptions, seen_and_held_out


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves. Only the kind of device affects the bundle.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ...
        resume: Resume from the checkpoint beside the output, if there is one.
        force: Replace an existing output, and discard a checkpoint that is not resumed.
        max_minutes: Pause after this many minutes; None: no limit.
        checkpoint_seconds: Most seconds between checkpoints; the first come sooner. Infinity: the
            run is saved only when it pauses or fails.
        should_pause: Called after every step and epoch; True pauses the run.
        max_memory: Memory limit on an accelerator for the activations of one chunk of classes plus
            the view cache, in bytes; None: most of the free memory.
        probes: Probe networks trained at even intervals of each matching stage and tested on
            held-out images; 0: none.
        unpruned: Path at which to also write the bundle before it is pruned to the budget, or
            None. An existing file is replaced if ``force`` or ``resume`` is set.

    Raises:
        BadSettings: if ``max_minutes`` is NaN.
    """

    device: str | torch.device = "auto"
    resume: bool = False
    force: bool = False
    max_minutes: float | None = None
    checkpoint_seconds: float = 60.0
    should_pause: Callable[[], bool] = lambda: False
    max_memory: int | None = None
    probes: int = 0
    unpruned: AnyPath | None = None

    def __post_init__(self) -> None:
        if self.max_minutes is not None and math.isnan(self.max_minutes):
            raise BadSettings("max_minutes must be a number of minutes, such as 60, got nan")


def check_output(output: AnyPath, options: RunOptions) -> None:
    """Check, before any work, that a run may write its output and its checkpoint.

    Args:
        output: Path of the output.
        options: Whether to resume, and whether to replace existing files.

    Raises:
        OutputExists: if the output exists, an unfinished run would be overwritten, or another run
            is writing the output.
        BadSettings: if the output cannot be written.
    """
    output = path_of(output)
    _check_free(output, options)
    check_unlocked(output)


def _check_free(output: Path, options: RunOptions) -> None:
    check_output_path(output, force=options.force)
    checkpoint = Checkpoint(checkpoint_of(output))
    checkpoint.check_free(resume=options.resume, force=options.force)


@with_torch_defaults
def compress(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    minutes: float | None = None,
    output: AnyPath | None = None,
    options: RunOptions | None = None,
    source_options: SourceOptions | None = None,
    listener: Listener = no_progress,
    on_plan: Callable[[Plan], object] | None = None,
    scale: float = 1.0,
) -> Bundle:
    """Condense a dataset into a bundle.

    Under ``torchrun`` all ranks must call it with the same arguments. Each handles a share of the
    classes; rank 0 writes the file and calls the listener; all return the bundle.

    Args:
        data: Anything that :func:`hmnpack.open_source` accepts, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of a recipe; None: ``fast`` on a CPU or for a given time, else ``best``.
        config: The settings, instead of a recipe.
        settings: Overrides, nested or by dotted path: `match.steps`.
        minutes: Time of the run. It measures the device and fits itself to the time: networks of
            the pool, their width and training, steps and views. The bundle records the settings;
            a run with them and without a time gives the same bytes on the same kind of device.
            None: the settings depend on the dataset's shape and classes alone.
        output: Path of the bundle; the checkpoint is written beside it, as ``<output>.ckpt``.
            None: nothing is written, and the run cannot be resumed.
        options: Device, resuming, limits.
        source_options: How to read the dataset.
        listener: Called with the progress.
        on_plan: Called once on rank 0 with the plan, after the dataset is opened and before the
            first step.
        scale: Fraction of the recipe's iterations, above 0 and at most 1: a shorter run. Settings
            that are given override it.

    Returns:
        The bundle; also written to ``output``, if given.

    Raises:
        BadData: if there are fewer than two classes.
        BadSettings: for an unknown setting, an invalid value, a time that is too short, or an
            output that cannot be written.
        BudgetTooSmall: if no container fits the budget.
        OutputExists: if the output exists, an unfinished run would be overwritten, or another run
            is writing the output. If the output appears during the run, the message says how to
            write the result, which is kept.
        Paused: if the run was paused; continue it with ``resume``.
        Diverged: if a loss became infinite or NaN.
        RankLost: if another rank exited early.
        KeyboardInterrupt: after Ctrl-C and, with an output, after the checkpoint was written.
    """
    request = Request(output, options, source_options, listener, on_plan, minutes=minutes)
    ipc = as_integer(ipc)

    def planner(device: torch.device) -> Plan:
        return planned_run(
            *(data, ipc),
            recipe=recipe,
            config=config,
            settings=settings,
            minutes=minutes,
            device=device,
            source_options=request.source_options,
            listener=listener,
            scale=scale,
        )

    return carried_out(planner, request)


class Request:
    """What a caller of ``compress`` or ``append`` wants besides the data and the settings.

    Args:
        output: Path of the bundle, or None.
        options: Device, resuming, limits; None: the defaults.
        source_options: How to read the dataset; None: the defaults.
        listener: Called with the progress.
        on_plan: Called once on rank 0 with the plan, or None.
        minutes: Time of the run, which begins now; None: as long as its settings take.
    """

    def __init__(
        self,
        output: AnyPath | None,
        options: RunOptions | None,
        source_options: SourceOptions | None,
        listener: Listener,
        on_plan: Callable[[Plan], object] | None,
        *,
        minutes: float | None = None,
    ) -> None:
        self.begun: float = now()
        self.minutes: float | None = minutes
        self.output: Path | None = None if output is None else path_of(output)
        self.options: RunOptions = options or RunOptions()
        self.source_options: SourceOptions = source_options or SourceOptions()
        self.listener: Listener = listener
        self.on_plan: Callable[[Plan], object] | None = on_plan


def carried_out(planner: Callable[[torch.device], Plan], request: Request) -> Bundle:
    """Carry out a planned run, and return its bundle; see :func:`compress`.

    Args:
        planner: Opens the data and returns the plan for a device.
        request: Output, options, callbacks.
    """
    path, options, cache = request.output, request.options, request.source_options.cache_root
    device = choose_device(options.device)
    if options.unpruned is not None:
        check_output_path(options.unpruned, force=options.force or options.resume)
        for other in (path, checkpoint_of(path)) if path is not None else ():
            check_distinct(options.unpruned, other, "the output, or its checkpoint")
    with joined(device) as world, contextlib.ExitStack() as held:
        listener = request.listener if world.rank == 0 else no_progress
        run = _Run(options, device, world, listener)
        checkpoint = run.checkpoint(path, held) if path is not None else None
        planned = planner(device)
        if request.minutes is not None:
            pace = _pace(planned, run, checkpoint, (request.minutes, request.begun))
            planned = planned.timed(pace)
        if request.on_plan is not None and world.rank == 0:
            request.on_plan(planned)
        with _saving_at_interrupts(run, checkpoint) as run:
            bundle = _condensed(planned, run, checkpoint, cache)
            with world.leader_first():
                if path is not None and checkpoint is not None and world.rank == 0:
                    write_result(bundle, path, checkpoint, force=options.force, spare=cache)
    return bundle


@dataclass(frozen=True)
class _Run:
    """Context of one run: options, device, ranks, listener."""

    options: RunOptions
    device: torch.device
    world: World
    listener: Listener

    def checkpoint(self, output: Path, held: contextlib.ExitStack) -> Checkpoint:
        """Check that the output may be written, lock it, and return its checkpoint."""
        leader = self.world.rank == 0
        checkpoint = Checkpoint(checkpoint_of(output), leader=leader)
        with self.world.leader_first():
            if leader:
                held.enter_context(locked(output))
                _check_free(output, self.options)
        return checkpoint

    def open(self, checkpoint: Checkpoint, key: str) -> None:
        """Read the checkpoint on every rank, and check that all read the same one."""
        with self.world.leader_first():
            checkpoint.open(key, resume=self.options.resume)
        state = checkpoint.state
        self.agree(
            None if state is None else (state["stage"], state["step"]),
            f"the ranks see different files as {checkpoint.path}; write the output to a folder "
            "that all machines share",
        )

    def agree(self, value: object, otherwise: str) -> None:
        """Raise ``BadSettings(otherwise)`` if some rank's value differs from rank 0's."""
        if self.world.any(self.world.of_leader(value) != value)[0]:
            raise BadSettings(otherwise)

    def key(self, planned: Plan) -> str:
        """Return the run's key: it can resume only from a checkpoint with the same key."""
        pace = planned.pace
        if pace is None:
            return self._key(planned, planned.config)
        return self.key_in(planned, pace.base, pace.minutes)

    def key_in(self, planned: Plan, base: CompressConfig, minutes: float) -> str:
        """Return the key of a run of a given time, which does not depend on what it chooses."""
        return f"{self._key(planned, base)} {minutes!r}"

    def _key(self, planned: Plan, config: CompressConfig) -> str:
        budget, grown = str(planned.ipc), planned.grown
        if grown is not None:
            budget += (
                f" appended to {grown.file.manifest.data_sha256} {grown.file.manifest.classes}"
            )
        return key_of(planned.source.train.fingerprint, budget, config, self.device)

    def clock(self) -> Clock:
        """Return the clock of this run, started now."""
        options = self.options
        return Clock(options.max_minutes, options.checkpoint_seconds, options.should_pause)

    def max_memory(self) -> int | None:
        """Return the memory limit of a chunk of classes, in bytes; None: unlimited."""
        if self.options.max_memory is not None:
            return self.options.max_memory
        return free_memory(self.device)


def _pace(
    planned: Plan, run: _Run, checkpoint: Checkpoint | None, time: tuple[float, float]
) -> Pace:
    """Return the pace of a run, as chosen before a pause or now.

    Args:
        planned: The plan, with the settings before anything is chosen.
        run: The run.
        checkpoint: Its checkpoint, if it has one.
        time: Minutes of the run, and when it began.
    """
    before = None
    if checkpoint is not None and run.options.resume and checkpoint.path.exists():
        checkpoint.open(run.key_in(planned, planned.config, time[0]), resume=True)
        before = (checkpoint.state or {}).get("pace")
    pace = Pace(planned.config, *time, state=before)
    if before is None and finished(checkpoint) is None:
        pace.begin(planned.seen(), planned.spec, planned.device)
    return pace


@contextlib.contextmanager
def _saving_at_interrupts(run: _Run, checkpoint: Checkpoint | None) -> Iterator[_Run]:
    """Yield a run that Ctrl-C ends after its state was saved, if it has a checkpoint."""
    if checkpoint is None or run.world.size > 1:
        yield run
        return
    asked = run.options.should_pause
    with interrupt_after_saving() as interrupted:
        options = replace(run.options, should_pause=lambda: interrupted() or asked())
        yield replace(run, options=options)


def _condensed(planned: Plan, run: _Run, checkpoint: Checkpoint | None, cache: Path) -> Bundle:
    """Run all stages that the checkpoint has not completed, and return the bundle."""
    job = _job(planned, run)
    real = job.real_data(run.device)
    probe = job.probe(run.options.probes, real)
    if checkpoint is not None:  # after all checks, since it may delete a paused run's checkpoint
        run.open(checkpoint, run.key(planned))
        _keep_pace(planned.pace, checkpoint)
    done_before = finished(checkpoint)
    if done_before is not None:
        return done_before
    fitting = Fitting(
        *(run.clock(), checkpoint, run.listener),
        world=run.world,
        probe=probe,
        pixel_std=real.normalisation.std,
    )
    inputs = Inputs(
        real,
        job.spec,
        job.config,
        world=run.world,
        max_memory=run.max_memory(),
        check=fitting.check,
        cache=cache,
        listener=run.listener,
        correct=planned.pace.correct if planned.pace is not None else None,
    )
    container = fit_container(job.new_container(), inputs, fitting, cache)
    if planned.pace is not None:
        job = replace(job, config=planned.pace.config)
    if job.is_pruned:
        bundle = _pruned(container, real, job, planned, (run, fitting))
    else:
        bundle = job.bundle(container, real, planned.ipc if job.grown is None else None)
    return bundle if job.grown is None else job.grown.with_classes(bundle, planned.ipc)


def _keep_pace(pace: Pace | None, checkpoint: Checkpoint) -> None:
    """Let the checkpoint hold what a time has chosen, from before the first step."""
    if pace is None:
        return
    checkpoint.extra = lambda: {"pace": pace.state()}
    if checkpoint.state is None:
        checkpoint.write(stage="pool", step=0)


def _job(planned: Plan, run: _Run) -> Job:
    """Check that every stage can run and that all ranks agree; return the run's inputs."""
    source, config, grown = planned.source, planned.config, planned.grown
    over = has_stage(config, "pruning")
    if run.options.unpruned is not None and not (over and grown is None):
        why = "prune.strategy is none; set a strategy"
        if grown is not None:
            why = "append writes the finished file alone; prune that one instead"
        raise BadSettings(
            f"{path_of(run.options.unpruned)} would hold the bundle before pruning, but {why}, or "
            "omit this output"
        )
    spec = spec_of(planned.ipc, source, config, grown, over_budget=over)
    run.agree(
        run.key(planned),
        "the ranks have different data, settings, devices or torch versions; start them all alike",
    )
    seen, held_out = seen_and_held_out(source.train, config.holdout, config.seed)
    check_prune_settings(config.prune, len(held_out))
    return Job(source, config, spec, seen, held_out, grown)


def _pruned(
    container: Container, real: RealData, job: Job, planned: Plan, work: tuple[_Run, Fitting]
) -> Bundle:
    """Return the bundle pruned to the plan; write the unpruned bundle if requested."""
    run, fitting = work
    done = fitting.trainings(container)  # restores the container, if there were any
    fitting.keep_trainings(container, done)
    bundle = job.bundle(container, real)
    if run.options.unpruned is not None and run.world.rank == 0:
        bundle.save(run.options.unpruned, force=True)
    check = partial(fitting.after_trainings, container, done)
    return pruned(
        bundle,
        planned.ipc if job.grown is None else ipc_of(job.spec),
        job.config.prune,
        seed=job.config.seed,
        device=run.device,
        held_out=job.held_out,
        trainings=Trainings(world=run.world, done=done, check=check, listener=run.listener),
        keep=None if job.grown is None else planned.spec.each,
    )
