"""Progress on standard error: bars on a terminal, a line a minute elsewhere, silence if quiet."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from hmnpack.cli.show import console, plain
from hmnpack.cli.text import safe
from hmnpack.runtime.progress import Listener, no_progress

LINE_EVERY = 60.0
"""Seconds of silence after which the next event writes a line."""

_PACE_OVER = 600.0
"""Seconds over which a bar takes the pace: some steps are long, and few fall into rich's 30."""


def figures(facts: dict[str, float]) -> str:
    """Return the figures of an event: ``"loss 0.1234  accuracy 56.7"``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


def time_left(seconds: float) -> str:
    """Return a time to wait, as exact as it is useful: ``"45 s left"``, ``"3 h 20 min left"``."""
    if seconds < 100:
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


class Bars:
    """A listener that draws a bar for each stage, with the time that is left and its figures.

    A figure stays until the next of its name: a loss comes often, an accuracy seldom.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._facts: dict[str, dict[str, float]] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Draw that ``done`` of ``total`` parts of a stage are done."""
        if stage not in self._tasks:
            self._facts[stage] = {}
            self._tasks[stage] = self._progress.add_task(safe(stage), total=total or None, facts="")
        self._facts[stage] |= facts
        self._progress.update(
            self._tasks[stage],
            completed=done,
            total=total or None,
            facts=figures(self._facts[stage]),
        )


@dataclass
class _Course:
    """What is known of a stage.

    Attributes:
        begun: When it began: at its first event, or, if a part was done by then, at the one before.
        heard: When its first was.
        first: Parts that were done by then.
        facts: Its latest figures.
    """

    begun: float
    heard: float
    first: int
    facts: dict[str, float] = field(default_factory=dict)

    def left(self, done: int, total: int, now: float) -> str:
        """Return the time left at the pace of this run, whose steps begin after the first event."""
        if not done < total or done <= self.first:
            return ""
        return time_left((now - self.heard) / (done - self.first) * (total - done))


class Lines:
    """A listener that writes a line when a stage ends, and where it is long silent: for logs.

    Args:
        out: Where.
        every: Seconds after a line, or the start, from which any event writes one.
        clock: Tells the seconds.
    """

    def __init__(
        self,
        out: Console,
        every: float = LINE_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._every = every
        self._clock = clock
        self._said = self._heard = clock()
        self._courses: dict[str, _Course] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Write a line if the stage is done, or if the last one was long ago."""
        now = self._clock()
        begun = self._heard if done else now  # most stages are first heard of after a part
        course = self._courses.setdefault(stage, _Course(begun, now, done))
        course.facts |= facts
        self._heard = now
        if 0 < total <= done:
            del self._courses[stage]
            self._say(f"{stage}: {total:,} in {now - course.begun:.1f} s", figures(course.facts))
        elif now - self._said >= self._every:
            reached = f"{stage}: {done:,} of {total:,}" if total else f"{stage}: {done:,}"
            self._say(reached, figures(course.facts), course.left(done, total, now))

    def _say(self, *parts: str) -> None:
        self._said = self._clock()
        self._out.print(plain("  ".join(part for part in parts if part)))


@contextlib.contextmanager
def progress_display(out: Console | None = None, *, quiet: bool = False) -> Iterator[Listener]:
    """Give a listener whose events are shown until the block ends.

    Args:
        out: Where, also for what else is printed in the block; None: on standard error.
        quiet: Show nothing.
    """
    out = out or console(stderr=True)
    if quiet:
        yield no_progress
    elif not out.is_terminal:
        yield Lines(out)
    else:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
        )
        with Progress(*columns, console=out, speed_estimate_period=_PACE_OVER) as progress:
            yield Bars(progress)
