"""The optimisation loop: fits a container to an objective, with checkpoints, pauses and reports."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hmnpack.condensing.checkpoint import Checkpoint
from hmnpack.condensing.optimiser import ContainerOptimiser
from hmnpack.condensing.optimisers import optimiser_of
from hmnpack.condensing.probe import Probe
from hmnpack.container import Container
from hmnpack.errors import BadSettings, Diverged, HmnError, Paused
from hmnpack.matching import Objective
from hmnpack.runtime.intervals import Intervals
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.schema.instances import in_words
from hmnpack.schema.stages import TITLES, Stage, StageName

REPORT_EVERY = 10
"""Steps between reports; each report synchronises with the device once."""

_ORDER = tuple(TITLES)


class Clock:
    """Decides when a run writes a checkpoint and when it pauses.

    Args:
        max_minutes: Pause after this many minutes; None: no limit.
        checkpoint_seconds: Most seconds between checkpoints; see :class:`Intervals`.
        should_pause: Called after every step; True pauses the run.
    """

    def __init__(
        self,
        max_minutes: float | None,
        checkpoint_seconds: float,
        should_pause: Callable[[], bool],
    ) -> None:
        self._end = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._checkpoints = Intervals(checkpoint_seconds)
        self._should_pause = should_pause

    def pausing(self) -> bool:
        """Return whether the run should pause now."""
        return self._should_pause() or time.monotonic() >= self._end

    def due(self) -> bool:
        """Return whether a checkpoint is due; if so, restart the interval."""
        return self._checkpoints.due()


def paused_while(doing: str) -> Paused:
    """Return the exception that pauses a run during an activity."""
    return Paused(f"paused while {doing}; pass --resume to continue from here")


class Fitting:
    """Runs stages of optimiser steps that can be paused and resumed after any step.

    Args:
        clock: Decides when to save and when to pause.
        checkpoint: Where to save, or None.
        listener: Called with the progress.
        world: The ranks that share the classes.
        probe: Periodically measures the accuracy of a probe network on the images, or None.
        pixel_std: Standard deviation of each channel of the real images, for methods that step on
            normalised pixels.
    """

    def __init__(
        self,
        clock: Clock,
        checkpoint: Checkpoint | None,
        listener: Listener,
        *,
        world: World = ALONE,
        probe: Probe | None = None,
        pixel_std: Sequence[float] | None = None,
    ) -> None:
        self.clock = clock
        self.checkpoint = checkpoint
        self.listener = listener
        self.world = world
        self.probe = probe
        self.pixel_std = pixel_std

    def is_past(self, stage: StageName) -> bool:
        """Return whether the checkpoint was written in a later stage than this one."""
        state = self.checkpoint.state if self.checkpoint else None
        return state is not None and _ORDER.index(state["stage"]) > _ORDER.index(stage)

    def run(self, stage: Stage, container: Container, objective: Objective) -> None:
        """Run a stage, starting from the checkpoint's step if it was written in this stage.

        Collective: all ranks must call it, and all end with the same container.

        Args:
            stage: Number of steps, and the optimiser's settings.
            container: The container to fit, in place.
            objective: The loss to minimise.

        Raises:
            Paused: if the run should pause, after a checkpoint was written.
            Diverged: if a loss is infinite or NaN; the last checkpoint is left as it is.
            BadSettings: if classes have unequal numbers of images.
        """
        if self.is_past(stage.name):
            return
        _check_equal_counts(container)
        world = self.world if objective.is_shared else ALONE
        optimiser = optimiser_of(stage, container, self.pixel_std, world)
        fit = _Fit(container, objective, optimiser)
        first = self._restored(stage, fit)
        # Values that each rank computed itself may differ between devices in the last digits.
        self.world.broadcast([*container.parameters(), *container.buffers()])
        self.listener(stage.name, first, stage.steps)
        for step in range(first, stage.steps):
            fit.optimiser.set_rate(stage.learning_rate(step))
            try:
                loss = fit.step(step)
            except Paused:  # raised by a check before the loss: nothing has changed yet
                self._save(_Step(stage, step, torch.zeros(())), fit)
                self.world.wait()
                raise
            done = _Step(stage, step + 1, loss)
            with self._saving_at_errors(done, fit):
                self._after(done, fit)
        fit.optimiser.collect()

    def check_pool(self) -> None:
        """Raise if the run should pause while a pool is trained, which stores its own state.

        Raises:
            Paused: if the run should pause, after the checkpoint was told the time until now.
        """
        if not self.clock.pausing():
            return
        checkpoint = self.checkpoint
        if checkpoint is not None and checkpoint.path.exists():  # of a run of a given time
            state = checkpoint.state
            if state is None or state["stage"] == "pool":
                checkpoint.write(stage="pool", step=0)
        raise paused_while("training the pool")

    def check(self, doing: str) -> None:
        """Raise if the run should pause (collective: all ranks must call it).

        Args:
            doing: Current activity, for the message: ``"training a network"``.

        Raises:
            Paused: if the run should pause.
        """
        if self.world.any(self.clock.pausing())[0]:
            raise paused_while(doing)

    def trainings(self, container: Container) -> dict[str, Tensor]:
        """Return the results of pruning's trainings before the pause, by name of the training.

        Args:
            container: Overwritten with the checkpoint's values.
        """
        state = self.checkpoint.state if self.checkpoint else None
        if state is None or state["stage"] != "pruning":
            return {}
        container.load_state_dict(state["container"])
        return dict(state["trainings"])

    def keep_trainings(self, container: Container, done: dict[str, Tensor]) -> None:
        """Save the container that is pruned, and the results of pruning's trainings."""
        if self.checkpoint is not None:
            self.checkpoint.write(
                stage="pruning", step=len(done), container=container.state_dict(), trainings=done
            )

    def after_trainings(self, container: Container, done: dict[str, Tensor]) -> None:
        """Save the results of pruning's trainings and pause if due (collective).

        Raises:
            Paused: if the run should pause, after a checkpoint was written.
        """
        self.keep_trainings(container, done)
        if self.world.any(self.clock.pausing())[0]:
            self.world.wait()
            raise Paused(
                f"paused after {len(done)} trainings of pruning; pass --resume to continue"
            )

    def _restored(self, stage: Stage, fit: "_Fit") -> int:
        state = self.checkpoint.state if self.checkpoint else None
        if state is None or state["stage"] != stage.name:
            return 0
        fit.restore(state)
        return int(state["step"])

    def _after(self, step: "_Step", fit: "_Fit") -> None:
        """Save, report and pause if due; the ranks decide together."""
        is_main_rank = self.world.rank == 0
        pausing, due = self.world.any(self.clock.pausing(), is_main_rank and self.clock.due())
        facts = self._probed(step, fit)
        saving = pausing or due
        reporting = step.done % REPORT_EVERY == 0 or step.done == step.stage.steps
        if saving or reporting:
            fit.optimiser.world.add([step.loss])
            loss = _finite(step)
            if reporting:
                facts |= {"loss": loss, **fit.objective.figures()}
        if saving:
            self._save(step, fit)
        if facts:
            self.listener(step.stage.name, step.done, step.stage.steps, **facts)
        if pausing:
            self.world.wait()  # torchrun ends rank 0, even while it writes, once another has exited
            where = f"step {step.done} of {step.stage.steps} of {step.stage.name}"
            raise Paused(f"paused at {where}; pass --resume to continue")

    @contextlib.contextmanager
    def _saving_at_errors(self, step: "_Step", fit: "_Fit") -> Iterator[None]:
        """Save the state if the block raises an error of the caller, such as the listener's."""
        try:
            yield
        except HmnError:
            raise
        except BaseException:
            if self.world.size == 1:  # saving is collective, but the error is not
                with contextlib.suppress(HmnError):
                    self._save(step, fit)
            raise

    def _probed(self, step: "_Step", fit: "_Fit") -> dict[str, float]:
        """Train a probe network if one is due, and return its accuracy."""
        if self.probe is None or not step.stage.is_probed:
            return {}
        if not self.probe.due(step.done, step.stage.steps):
            return {}
        fit.optimiser.collect()
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
            "every class the same number, then prune the result to unequal numbers"
        )


@dataclass(frozen=True)
class _Fit:
    """The container, objective and optimiser of a stage."""

    container: Container
    objective: Objective
    optimiser: ContainerOptimiser

    def step(self, step: int) -> Tensor:
        """Take an optimiser step; return its loss."""
        loss = self.objective.loss(self.container, step)
        self.optimiser.step(loss)
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on (collective: all ranks must call it)."""
        self.optimiser.collect()
        return {
            "container": self.container.state_dict(),
            "optimiser": self.optimiser.state(),
            "objective": self.objective.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.container.load_state_dict(state["container"])
        self.optimiser.restore(state["optimiser"])
        self.objective.restore(state["objective"])


@dataclass(frozen=True)
class _Step:
    """A finished step: the number of steps done in the stage, and the loss on this rank."""

    stage: Stage
    done: int
    loss: Tensor


def _finite(step: _Step) -> float:
    value = float(step.loss)
    if not math.isfinite(value):
        raise _diverged("the loss", str(value), step)
    return value


def _check_finite(container: Container, step: _Step) -> None:
    """Check the weights before they are saved: a finite loss can have a non-finite gradient."""
    if not all(bool(tensor.isfinite().all()) for tensor in container.parameters()):
        raise _diverged("a weight", "infinite or NaN", step)


def _diverged(what: str, value: str, step: _Step) -> Diverged:
    return Diverged(
        f"{what} of {step.stage.name} became {value} by step {step.done}; the last checkpoint, "
        "if any, is from an earlier step; use a lower learning rate"
    )
