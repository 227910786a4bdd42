"""Progress on standard error: bars on a terminal, one line a stage elsewhere, silence if quiet."""

import contextlib
import time
from collections.abc import Iterator

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
from hmnpack.runtime import Listener, silent


def figures(facts: dict[str, float]) -> str:
    """Return the figures of an event: ``"loss 0.1234  accuracy 56.7"``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


class Bars:
    """A listener that draws a bar for each stage, with the time that is left and its figures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Draw that ``done`` of ``total`` parts of a stage are done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(
                plain(stage), total=total or None, facts=""
            )
        task = self._tasks[stage]
        self._progress.update(task, completed=done, total=total or None)
        if facts:
            self._progress.update(task, facts=plain(figures(facts)))


class Lines:
    """A listener that writes one line when a stage ends: for logs."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._begun: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Write a line if the stage is done."""
        begun = self._begun.setdefault(stage, time.monotonic())
        if done < total or total == 0:
            return
        del self._begun[stage]
        seconds = time.monotonic() - begun
        self._out.print(plain(f"{stage}: {total:,} in {seconds:.1f} s  {figures(facts)}".rstrip()))


@contextlib.contextmanager
def drawn(*, quiet: bool = False) -> Iterator[Listener]:
    """Give a listener whose events are shown on standard error until the block ends."""
    out = console(stderr=True)
    if quiet:
        yield silent
    elif not out.is_terminal:
        yield Lines(out)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        with Progress(*columns, console=out) as progress:
            yield Bars(progress)
