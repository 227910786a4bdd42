"""Fitting a container by Adam to an objective: steps, checkpoints, pauses, no arithmetic else."""

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from hmnpack.checkpoint import read_state, write_state
from hmnpack.container import Container
from hmnpack.errors import BadSettings, Diverged, OutputExists, Paused
from hmnpack.runtime import Listener
from hmnpack.schema.config import CompressConfig, MatchConfig, WarmupConfig

REPORT_EVERY = 10
"""Steps between reports: each waits for the device once."""

_STAGES = ("warm-up", "matching")


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

    def check(self) -> None:
        """Stop the run here if it should stop; for stages that keep their own state.

        Raises:
            Paused: if the run should stop.
        """
        if self.pausing():
            raise Paused("paused while the pool was trained; --resume goes on from here")

    def due(self) -> bool:
        """Return whether a checkpoint should be written, and count from now if so."""
        due = time.monotonic() - self._last >= self._between
        if due:
            self._last = time.monotonic()
        return due


class Checkpoint:
    """The file beside the output that an unfinished run leaves.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = ""
        self.state: dict[str, Any] | None = None

    def refuse_unless(self, *, resume: bool, force: bool) -> None:
        """Refuse to overwrite an unfinished run that was not asked to go on.

        Raises:
            OutputExists: if there is a checkpoint, and neither resume nor force.
        """
        if self.path.exists() and not (resume or force):
            raise OutputExists(
                f"{self.path} holds an unfinished run; --resume goes on with it, --force starts "
                "again"
            )

    def open(self, key: str, *, resume: bool) -> None:
        """Name the run, and read its state if it is to be resumed and there is one.

        Raises:
            BadSettings: if the checkpoint is of another run.
        """
        self.key = key
        if not resume or not self.path.exists():
            self.clear()
            return
        state = read_state(self.path)
        if state.get("key") != key:
            raise BadSettings(
                f"{self.path} is of a run with other data, ipc, settings or device; repeat those, "
                "or start again with --force and without --resume"
            )
        self.state = state

    def write(self, **state: object) -> None:
        """Replace the checkpoint."""
        write_state(self.path, {"key": self.key, **state})

    def clear(self) -> None:
        """Remove the checkpoint: the run is done, or begins."""
        self.path.unlink(missing_ok=True)


def key_of(fingerprint: str, ipc: str, config: CompressConfig, device: torch.device) -> str:
    """Return what tells runs apart whose checkpoints may not be exchanged."""
    facts = (fingerprint, ipc, config.model_dump_json(), device.type, str(torch.__version__))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


class Objective(Protocol):
    """Container and step in, loss out; all randomness of a step comes from its number."""

    def __call__(self, container: Container, step: int) -> Tensor:
        """Return the loss."""


class Fitting:
    """Runs stages of optimiser steps, each of which can be stopped and resumed.

    Args:
        clock: When to save and when to stop.
        checkpoint: Where to save, or None.
        listener: Hears of the progress.
    """

    def __init__(self, clock: Clock, checkpoint: Checkpoint | None, listener: Listener) -> None:
        self.clock = clock
        self.checkpoint = checkpoint
        self.listener = listener

    def is_past(self, stage: str) -> bool:
        """Return whether the checkpoint is of a later stage than this one."""
        state = self.checkpoint.state if self.checkpoint else None
        return state is not None and _STAGES.index(state["stage"]) > _STAGES.index(stage)

    def run(
        self,
        stage: str,
        container: Container,
        objective: Objective,
        config: WarmupConfig | MatchConfig,
    ) -> None:
        """Take the stage's steps, from the checkpoint's if it is of this stage.

        Args:
            stage: ``"warm-up"`` or ``"matching"``.
            container: What is fitted, in place.
            objective: What it is fitted to.
            config: Steps and learning rates.

        Raises:
            Paused: after a checkpoint was written, if the run should stop.
            Diverged: if a loss is infinite or not a number; the last checkpoint stays.
        """
        optimiser = _adam(container, config)
        first = self._restored(stage, container, optimiser)
        for step in range(first, config.steps):
            _set_rate(optimiser, config, step)
            loss = objective(container, step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            pausing = self.clock.pausing()
            if pausing or self.clock.due():
                _finite(loss, stage, step)
                self._save(stage, step + 1, container, optimiser)
            if (step + 1) % REPORT_EVERY == 0 or step + 1 == config.steps:
                self.listener(stage, step + 1, config.steps, loss=_finite(loss, stage, step))
            if pausing:
                raise Paused(f"paused at step {step + 1} of {config.steps} of {stage}; --resume")

    def _restored(self, stage: str, container: Container, optimiser: torch.optim.Optimizer) -> int:
        state = self.checkpoint.state if self.checkpoint else None
        if state is None or state["stage"] != stage:
            return 0
        container.load_state_dict(state["container"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def _save(
        self, stage: str, step: int, container: Container, optimiser: torch.optim.Optimizer
    ) -> None:
        if self.checkpoint is not None:
            self.checkpoint.write(
                stage=stage,
                step=step,
                container=container.state_dict(),
                optimiser=optimiser.state_dict(),
            )


def _adam(container: Container, config: WarmupConfig | MatchConfig) -> torch.optim.Adam:
    betas = (config.beta1, config.beta2) if isinstance(config, MatchConfig) else (0.9, 0.99)
    return torch.optim.Adam(container.parameters(), config.lr, betas)


def _set_rate(
    optimiser: torch.optim.Optimizer, config: WarmupConfig | MatchConfig, step: int
) -> None:
    end = config.lr_end if isinstance(config, MatchConfig) else 0.0
    part = (1 + math.cos(math.pi * step / config.steps)) / 2
    optimiser.param_groups[0]["lr"] = end + (config.lr - end) * part


def _finite(loss: Tensor, stage: str, step: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise Diverged(
            f"the loss of {stage} became {value} by step {step + 1}; the last checkpoint, if any, "
            "is from before; use a lower learning rate"
        )
    return value
