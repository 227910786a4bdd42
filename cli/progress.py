"""Progress on standard error: bars on a terminal, a line per minute elsewhere, or nothing."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
)

from hmnpack.cli.show import console, plain
from hmnpack.cli.text import safe
from hmnpack.runtime.progress import Listener, no_progress

LINE_EVERY = 60.0
"""Seconds after the last line from which the next event prints a line."""

_SHORTEST = 20.0
"""Seconds over which speed is estimated at least, to even out steps that differ."""

_LONGEST = 600.0
"""Seconds over which speed is estimated at most."""


def format_metrics(facts: dict[str, float]) -> str:
    """Return the metrics of an event as text: ``"loss 0.1234  accuracy 56.7"``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


def time_left(seconds: float) -> str:
    """Return the remaining time, sensibly rounded: ``"45 s left"``, ``"3 h 20 min left"``."""
    if seconds < 100:
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


class Speed:
    """The recent speed of a stage, from which its remaining time follows.

    The first steps of a stage can be far slower than later ones, which reuse what they computed,
    so only the last third of the time counts, but from `_SHORTEST` to `_LONGEST` seconds, and at
    least one event. Steps that were complete before the first event, in an earlier run, do not
    count.
    """

    def __init__(self) -> None:
        self._events: deque[tuple[float, int]] = deque()
        self._start: float | None = None

    def note(self, done: int, now: float) -> None:
        """Remember that ``done`` parts are complete at a time in seconds."""
        if self._start is None:
            self._start = now
        events, since = self._events, now - min(max(_SHORTEST, (now - self._start) / 3), _LONGEST)
        while len(events) > 1 and events[1][0] <= since:
            events.popleft()
        events.append((now, done))

    def left(self, total: int) -> float | None:
        """Return the remaining time in seconds; None if it is unknown or nothing remains."""
        if not self._events:
            return None
        (then, before), (now, done) = self._events[0], self._events[-1]
        if not before < done < total:
            return None
        return (now - then) / (done - before) * (total - done)


class Bars:
    """A listener that draws a bar for each stage, with the remaining time and the metrics.

    A metric is shown until its next value: losses are frequent, accuracies are rare.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._facts: dict[str, dict[str, float]] = {}
        self._speeds: dict[str, Speed] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Show that ``done`` of ``total`` parts of a stage are complete."""
        if stage not in self._tasks:
            self._facts[stage], self._speeds[stage] = {}, Speed()
            self._tasks[stage] = self._progress.add_task(
                safe(stage), total=total or None, facts="", left=""
            )
        self._facts[stage] |= facts
        self._speeds[stage].note(done, self._progress.get_time())
        left = self._speeds[stage].left(total)
        self._progress.update(
            self._tasks[stage],
            completed=done,
            total=total or None,
            facts=format_metrics(self._facts[stage]),
            left="" if left is None else time_left(left),
        )


@dataclass
class _StageProgress:
    """The state of a stage. Times are in seconds.

    Attributes:
        start: Start time: that of the stage's first event, or of the event before it if the first
            event already reports complete parts.
        facts: Latest metrics.
        speed: The recent speed.
    """

    start: float
    facts: dict[str, float] = field(default_factory=dict)
    speed: Speed = field(default_factory=Speed)

    def left(self, total: int) -> str:
        """Return the remaining time as text; empty if it is unknown."""
        seconds = self.speed.left(total)
        return "" if seconds is None else time_left(seconds)


class Lines:
    """A listener for logs: prints a line at the end of each stage and at intervals.

    Args:
        out: Console to print on.
        every: Minimum seconds between the start or the last line and a line within a stage.
        clock: Returns the current time in seconds.
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
        self._last_line = self._last_event = clock()
        self._stages: dict[str, _StageProgress] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Print a line if the stage is complete or the last line is older than ``every``."""
        now = self._clock()
        start = self._last_event if done else now  # most stages first report a complete part
        state = self._stages.setdefault(stage, _StageProgress(start))
        state.facts |= facts
        state.speed.note(done, now)
        self._last_event = now
        if 0 < total <= done:
            del self._stages[stage]
            self._print(
                f"{stage}: {total:,} in {now - state.start:.1f} s", format_metrics(state.facts)
            )
        elif now - self._last_line >= self._every:
            reached = f"{stage}: {done:,} of {total:,}" if total else f"{stage}: {done:,}"
            self._print(reached, format_metrics(state.facts), state.left(total))

    def _print(self, *parts: str) -> None:
        self._last_line = self._clock()
        self._out.print(plain("  ".join(part for part in parts if part)))


@contextlib.contextmanager
def progress_display(out: Console | None = None, *, quiet: bool = False) -> Iterator[Listener]:
    """Yield a listener that displays progress until the block ends.

    Args:
        out: Console, also for other output printed in the block; None: standard error.
        quiet: Display nothing.
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
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[facts]}", markup=False),
        )
        with Progress(*columns, console=out) as progress:
            yield Bars(progress)
