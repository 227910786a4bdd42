"""Fits the iterations of a method to compare with to CPU minutes, by short runs of it.

`compress --minutes` does this for our own objective; :func:`on_processor_time` makes it count the
processor's time too. The methods have no such option, so their runs are timed from outside: two or
more short runs give the seconds of a step, and the number of steps follows. What a run needs before
its first step counts: MTT's experts get at most half of the time, with networks of half the width,
and again, if not even one expert fits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from minutes import Minutes, Timed

from hmnpack.condensing.compress import compress
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import Paused
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.mtt import MttConfig
from hmnpack.schema.rival import RivalConfig
from hmnpack.sources import Source, SourceOptions

EXPERTS = "expert trajectories"
"""Stage in which MTT trains its experts, which a later run in the same folder reuses."""

_USED = 0.97
"""Part of the time that is planned; the rest is for checkpoints and writing the file."""

_LONG_ENOUGH = 0.05
"""Part of the time that the longest short run takes, roughly."""

_FASTEST_GROWTH = 8
_EXPERTS_SHARE = 0.5
_NARROWEST = 16


@contextmanager
def on_processor_time() -> Iterator[None]:
    """Let a run of a given time count processor time, so that other load does not shorten it."""
    with (
        patch.object(time, "monotonic", time.process_time),
        patch.object(time, "perf_counter", time.process_time),
    ):
        yield


@dataclass(frozen=True)
class Trials:
    """Short runs of one method, whose files are thrown away.

    Attributes:
        source: The dataset.
        ipc: Budget, in images per class.
        folder: Folder of the run, in which experts are cached.
        device: Device to compute on.
        listener: Called with the progress.
    """

    source: Source
    ipc: int
    folder: Path
    device: str
    listener: Listener = no_progress

    @property
    def experts(self) -> Minutes:
        """Minutes of the experts that the short runs trained, which the real run reuses."""
        return Minutes(self.folder / "experts.minutes.json")

    def expert_seconds(self) -> float:
        """Return the processor seconds of these experts."""
        return 60 * self.experts.of([EXPERTS]).processor

    def seconds(self, config: CompressConfig) -> float:
        """Return the processor seconds of a run without its experts."""
        minutes, before, begun = self.experts, self.expert_seconds(), time.process_time()
        with Timed(lambda stage: minutes if stage == EXPERTS else None, self.listener) as timed:
            self._run(config, self.folder, RunOptions(device=self.device), timed)
        return time.process_time() - begun - (self.expert_seconds() - before)

    def epoch_seconds(self, config: CompressConfig) -> float:
        """Return the processor seconds of one epoch of one expert, which is thrown away."""
        begun = time.process_time()
        options = RunOptions(device=self.device, should_pause=lambda: True)
        with TemporaryDirectory(dir=self.folder) as folder, suppress(Paused):
            self._run(config, Path(folder), options, self.listener)
        return time.process_time() - begun

    def _run(
        self, config: CompressConfig, folder: Path, options: RunOptions, listener: Listener
    ) -> None:
        compress(
            self.source,
            self.ipc,
            config=config,
            options=options,
            source_options=SourceOptions(cache_dir=folder),
            listener=listener,
        )


def fitted_to(minutes: float, config: CompressConfig, trials: Trials) -> CompressConfig:
    """Return the settings whose run takes about these CPU minutes, experts included.

    If even one step takes longer, it is one step: the minutes that a run took are recorded.

    Args:
        minutes: The time.
        config: The recipe's settings, of a method to compare with.
        trials: Runs it for a short time.
    """
    config = with_experts(config, trials, 60 * minutes)
    most = _rival(config).steps
    first = trials.seconds(with_steps(config, 1))
    left = _USED * 60 * minutes - trials.expert_seconds()
    steps = steps_within(left, most, lambda n: trials.seconds(with_steps(config, n)), first)
    return with_steps(config, steps)


def with_steps(config: CompressConfig, steps: int) -> CompressConfig:
    """Return the settings of a run with about so many steps on the images, no more.

    The authors' steps per network stay as they are where the steps suffice for several networks.
    """
    rival = _rival(config)
    name = next((one for one in ("inner_steps", "image_steps") if hasattr(rival, one)), None)
    if name is None:
        changes = {"iterations": steps}
    else:
        iterations = ceil(steps / getattr(rival, name))
        changes = {"iterations": iterations, name: steps // iterations}
    return config.model_copy(update={"rival": rival.model_copy(update=changes)})


def steps_within(seconds: float, most: int, timed: Callable[[int], float], first: float) -> int:
    """Return the number of steps whose run takes a time; at least 1.

    Args:
        seconds: The time.
        most: Steps of the recipe.
        timed: Returns the seconds of a run of a number of steps.
        first: Seconds of the run of one step.
    """
    enough = _LONG_ENOUGH * seconds
    known = [(1, first)]
    while known[-1][0] < most and (len(known) < 2 or known[-1][1] < enough):
        steps, taken = known[-1]
        if taken > seconds / 2:
            break
        wanted = ceil(steps * enough / max(taken, 1e-9))
        steps = min(most, max(2 * steps, min(wanted, _FASTEST_GROWTH * steps)))
        known.append((steps, timed(steps)))
    steps, taken = known[-1]
    before, earlier = known[-2] if len(known) > 1 else (0, 0.0)
    each = (taken - earlier) / (steps - before)
    if each <= 0:  # too short to measure: the start of the run took all the time
        each = taken / steps
    start = max(0.0, taken - each * steps)
    return min(most, max(1, int((seconds - start) / each)))


def with_experts(config: CompressConfig, trials: Trials, seconds: float) -> CompressConfig:
    """Return the settings with as many experts as half of a time allows; those of MTT alone.

    Args:
        config: The recipe's settings.
        trials: Measures an epoch of an expert.
        seconds: Time of the run.
    """
    rival = config.rival
    if not isinstance(rival, MttConfig):
        return config
    share = _EXPERTS_SHARE * seconds
    one = rival.epochs * trials.epoch_seconds(config)
    if one > share and rival.network.width // 2 >= _NARROWEST:
        network = rival.network.model_copy(update={"width": rival.network.width // 2})
        narrower = rival.model_copy(update={"network": network})
        return with_experts(config.model_copy(update={"rival": narrower}), trials, seconds)
    experts = min(rival.experts, max(1, int(share / one)))
    return config.model_copy(update={"rival": rival.model_copy(update={"experts": experts})})


def _rival(config: CompressConfig) -> RivalConfig:
    if config.rival is None:
        raise ValueError(f"recipe {config.recipe} is not a method to compare with")
    return config.rival
