"""Fitting a container by Adam to an objective: steps, checkpoints, pauses, no arithmetic else."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hmnpack.condensing.adam import ContainerAdam
from hmnpack.condensing.checkpoint import Checkpoint
from hmnpack.condensing.probe import Probe
from hmnpack.container import Container
from hmnpack.errors import BadSettings, Diverged, Paused
from hmnpack.matching import Objective
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.schema.instances import in_words
from hmnpack.schema.stages import TITLES, Stage, StageName

REPORT_EVERY = 10
"""Steps between reports: each waits for the device once."""

_ORDER = tuple(TITLES)


class Clock:
    """Knows when a run should write a checkpoint, and when it should pause.

    Args:
        max_minutes: Pause after so many, or None.
        checkpoint_seconds: Time between checkpoints.
        should_pause: Asked after every step.
    """

    def __init__(
        self,
        max_minutes: float | None,
        checkpoint_seconds: float,
        should_pause: Callable[[], bool],
    ) -> None:
        self._end = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._between = checkpoint_seconds
        self._last = time.monotonic()
        self._should_pause = should_pause

    def pausing(self) -> bool:
        """Return whether the run should stop now."""
        return self._should_pause() or time.monotonic() >= self._end

    def check(self, doing: str) -> None:
        """Stop the run here if it should stop; for stages that keep their own state.

        Args:
            doing: What is done meanwhile: ``"the pool was trained"``.

        Raises:
            Paused: if the run should stop.
        """
        if self.pausing():
            raise paused_while(doing)

    def due(self) -> bool:
        """Return whether a checkpoint should be written, and count from now if so."""
        due = time.monotonic() - self._last >= self._between
        if due:
            self._last = time.monotonic()
        return due


def paused_while(doing: str) -> Paused:
    """Return how a run ends that was stopped in the middle of something."""
    return Paused(f"paused while {doing}; --resume goes on from here")


class Fitting:
    """Runs stages of optimiser steps, each of which can be stopped and resumed.

    Args:
        clock: When to save and when to stop.
        checkpoint: Where to save, or None.
        listener: Hears of the progress.
        world: The ranks that share the classes.
        probe: Says now and then how well the images teach, or None.
    """

    def __init__(
        self,
        clock: Clock,
        checkpoint: Checkpoint | None,
        listener: Listener,
        *,
        world: World = ALONE,
        probe: Probe | None = None,
    ) -> None:
        self.clock = clock
        self.checkpoint = checkpoint
        self.listener = listener
        self.world = world
        self.probe = probe

    def is_past(self, stage: StageName) -> bool:
        """Return whether the checkpoint is of a later stage than this one."""
        state = self.checkpoint.state if self.checkpoint else None
        return state is not None and _ORDER.index(state["stage"]) > _ORDER.index(stage)

    def run(self, stage: Stage, container: Container, objective: Objective) -> None:
        """Take the stage's steps, from the checkpoint's if it is of this stage.

        Every rank calls this together, and ends with the same container.

        Args:
            stage: The steps, and Adam's settings.
            container: What is fitted, in place.
            objective: What it is fitted to.

        Raises:
            Paused: after a checkpoint was written, if the run should stop.
            Diverged: if a loss is infinite or not a number; the last checkpoint stays.
            BadSettings: if classes have unequal numbers of images.
        """
        if self.is_past(stage.name):
            return
        _check_equal_counts(container)
        world = self.world if objective.is_shared else ALONE
        fit = _Fit(container, objective, ContainerAdam(container, stage.betas, world))
        first = self._restored(stage, fit)
        # What ranks computed each for itself may differ in last digits from device to device.
        self.world.broadcast([*container.parameters(), *container.buffers()])
        self.listener(stage.name, first, stage.steps)
        for step in range(first, stage.steps):
            fit.adam.set_rate(stage.learning_rate(step))
            try:
                loss = objective.loss(container, step)
            except Paused:  # by a check before the loss: nothing is changed yet
                self._save(_Step(stage, step, torch.zeros(())), fit)
                self.world.wait()
                raise
            fit.adam.step(loss)
            self._after(_Step(stage, step + 1, loss.detach()), fit)
        fit.adam.collect()

    def check(self, doing: str) -> None:
        """Stop the run here if it should stop; every rank calls this together.

        Args:
            doing: What is done meanwhile: ``"a network was trained"``.

        Raises:
            Paused: if the run should stop.
        """
        if self.world.any(self.clock.pausing())[0]:
            raise paused_while(doing)

    def trainings(self, container: Container) -> dict[str, Tensor]:
        """Return what the stage ``pruning`` has done before a pause: numbers by a training's name.

        Args:
            container: Gets the values that it had then.
        """
        state = self.checkpoint.state if self.checkpoint else None
        if state is None or state["stage"] != "pruning":
            return {}
        container.load_state_dict(state["container"])
        return dict(state["trainings"])

    def after_trainings(self, container: Container, done: dict[str, Tensor]) -> None:
        """Save what the stage ``pruning`` has done, and pause if it is time; on every rank.

        Raises:
            Paused: after a checkpoint was written, if the run should stop.
        """
        if self.checkpoint is not None:
            self.checkpoint.write(
                stage="pruning", step=len(done), container=container.state_dict(), trainings=done
            )
        if self.world.any(self.clock.pausing())[0]:
            self.world.wait()
            raise Paused(f"paused after {len(done)} trainings of pruning; --resume goes on")

    def _restored(self, stage: Stage, fit: "_Fit") -> int:
        state = self.checkpoint.state if self.checkpoint else None
        if state is None or state["stage"] != stage.name:
            return 0
        fit.restore(state)
        return int(state["step"])

    def _after(self, step: "_Step", fit: "_Fit") -> None:
        """Save, report and pause, where it is time to; the ranks decide together."""
        leads = self.world.rank == 0
        pausing, due = self.world.any(self.clock.pausing(), leads and self.clock.due())
        facts = self._probed(step, fit)
        saving = pausing or due
        reporting = step.done % REPORT_EVERY == 0 or step.done == step.stage.steps
        if saving or reporting:
            fit.adam.world.add([step.loss])
            loss = _finite(step)
            if reporting:
                facts["loss"] = loss
        if saving:
            self._save(step, fit)
        if facts:
            self.listener(step.stage.name, step.done, step.stage.steps, **facts)
        if pausing:
            self.world.wait()  # or torchrun would end rank 0 while it writes, once others are gone
            where = f"step {step.done} of {step.stage.steps} of {step.stage.name}"
            raise Paused(f"paused at {where}; --resume goes on")

    def _probed(self, step: "_Step", fit: "_Fit") -> dict[str, float]:
        """Train the quick network that is due, if one is; return its accuracy."""
        if self.probe is None or not step.stage.is_probed:
            return {}
        if not self.probe.due(step.done, step.stage.steps):
            return {}
        fit.adam.collect()
        accuracy = self.probe(fit.container) if self.world.rank == 0 else math.nan
        return {"accuracy": self.world.of_leader(accuracy)}

    def _save(self, step: "_Step", fit: "_Fit") -> None:
        if self.checkpoint is not None:
            state = fit.state()
            _check_finite(fit.container, step)
            self.checkpoint.write(stage=step.stage.name, step=step.done, **state)


def _check_equal_counts(container: Container) -> None:
    if container.spec.smallest < container.spec.largest:
        raise BadSettings(
            f"classes of {in_words(container.spec.instances)} images cannot be condensed; give "
            "every class the same number, and prune the result to other numbers"
        )


@dataclass(frozen=True)
class _Fit:
    """What a stage works with: what is fitted, to what, and by what."""

    container: Container
    objective: Objective
    adam: ContainerAdam

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on; every rank calls this together."""
        self.adam.collect()
        return {
            "container": self.container.state_dict(),
            "adam": self.adam.state(),
            "objective": self.objective.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        self.container.load_state_dict(state["container"])
        self.adam.restore(state["adam"])
        self.objective.restore(state["objective"])


@dataclass(frozen=True)
class _Step:
    """A step that was taken: how many of the stage's are done, and its loss on this rank."""

    stage: Stage
    done: int
    loss: Tensor


def _finite(step: _Step) -> float:
    value = float(step.loss)
    if not math.isfinite(value):
        raise _diverged("the loss", str(value), step)
    return value


def _check_finite(container: Container, step: _Step) -> None:
    """Check what a checkpoint is to hold: a step's gradient may not be finite where its loss is."""
    if not all(bool(tensor.isfinite().all()) for tensor in container.parameters()):
        raise _diverged("a weight", "infinite or no number", step)


def _diverged(what: str, value: str, step: _Step) -> Diverged:
    return Diverged(
        f"{what} of {step.stage.name} became {value} by step {step.done}; the last checkpoint, "
        "if any, is from before; use a lower learning rate"
    )
