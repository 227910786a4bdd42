"""A planned run: from a dataset to a bundle, stage by stage, resumable.

The stages are those of :mod:`hmnpack.schema.stages`: networks are trained on the real images and
cached, the container is fitted to one objective after another, and pruned if it is over budget. A
checkpoint holds everything that the next step depends on, and every random number comes from a
stream named by its step. On a CPU an interrupted run therefore ends with the same bytes as an
uninterrupted one; on an accelerator the order of summation varies.
"""

import contextlib
from collections.abc import Callable, Iterator
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
from hmnpack.condensing.pace import Pace
from hmnpack.condensing.plan import Plan, spec_of
from hmnpack.condensing.request import Request, RunOptions, check_free
from hmnpack.container import Container
from hmnpack.container.budget import ipc_of
from hmnpack.errors import BadSettings
from hmnpack.matching import RealData
from hmnpack.pruning import Trainings, check_prune_settings, pruned
from hmnpack.runtime.devices import choose_device, free_memory
from hmnpack.runtime.interrupts import interrupt_after_saving
from hmnpack.runtime.lock import locked
from hmnpack.runtime.output import check_distinct, check_output_path
from hmnpack.runtime.paths import path_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import World, joined
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.stages import has_stage
from hmnpack.sources import seen_and_held_out


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
                check_free(output, self.options)
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
        return f"{self._key(planned, base)} {float(minutes)!r}"

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
