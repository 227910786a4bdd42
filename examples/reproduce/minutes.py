"""The minutes of a run by stage, in a file, so that those of interrupted runs add up.

Both kinds are kept: those by the clock, and those that the process had processors for, which on a
machine that does other work at the same time are fewer, and with several threads more. So is the
most memory that was taken.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Self

import torch

from hmnpack.runtime.machine import peak_memory
from hmnpack.runtime.output import write_atomically
from hmnpack.runtime.progress import Listener


@dataclass(frozen=True)
class Spent:
    """What a part of a run took.

    Attributes:
        clock: Minutes by the clock.
        processor: Minutes of processor time.
        peak_gb: Most memory by then, in 10^9 bytes: the accelerator's, without one the process's.
    """

    clock: float = 0.0
    processor: float = 0.0
    peak_gb: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        peak_gb = max(self.peak_gb, other.peak_gb)
        return Spent(self.clock + other.clock, self.processor + other.processor, peak_gb)

    def __truediv__(self, parts: int) -> "Spent":
        return Spent(self.clock / parts, self.processor / parts, self.peak_gb)


NOTHING = Spent()


class Minutes:
    """Minutes by stage, of all processes that book on the same path, now or before.

    Args:
        path: Where they are kept. Each process has a file of its own beside it, so that none
            loses what another books; what is there already is counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
        self._booked = _read(self._own)

    def add(self, stage: str, spent: Spent) -> None:
        """Book minutes on a stage; a kill leaves the old file or the new."""
        self._booked[stage] = self._booked.get(stage, NOTHING) + spent
        self.path.parent.mkdir(parents=True, exist_ok=True)
        booked = {name: asdict(spent) for name, spent in self._booked.items()}
        write_atomically(self._own, json.dumps(booked).encode(), force=True)

    @property
    def stages(self) -> dict[str, Spent]:
        """What was booked on each stage, by every process."""
        found: dict[str, Spent] = {}
        folder, pattern = self.path.parent, f"{escape(self.path.stem)}.*{self.path.suffix}"
        for file in (self.path, *sorted(folder.glob(pattern))):
            for stage, spent in _read(file).items():
                found[stage] = found.get(stage, NOTHING) + spent
        return found

    def of(self, stages: Iterable[str]) -> Spent:
        """Return the minutes of some stages, together."""
        found = self.stages
        return sum((found.get(stage, NOTHING) for stage in stages), NOTHING)


def _read(file: Path) -> dict[str, Spent]:
    kept = json.loads(file.read_text()) if file.exists() else {}
    return {stage: Spent(**spent) for stage, spent in kept.items()}


class Timed:
    """A listener that books the time between two events on the stage that reports the second.

    Use it as a context around the run: what is left at the end is booked on ``rest``.

    Args:
        book: From a stage's name to where its minutes go.
        then: A listener that hears of everything too.
    """

    def __init__(self, book: Callable[[str], Minutes], then: Listener) -> None:
        self.book, self.then = book, then
        self._since = _now()

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Hear of progress."""
        self._booked(stage)
        self.then(stage, done, total, **facts)

    def __enter__(self) -> Self:
        self._since = _now()
        return self

    def __exit__(self, *error: object) -> None:
        self._booked("rest")

    def _booked(self, stage: str) -> None:
        now = _now()
        since, self._since = self._since, now
        spent = Spent(now.clock - since.clock, now.processor - since.processor, now.peak_gb)
        self.book(stage).add(stage, spent)


def _now() -> Spent:
    """Return the minutes since times that do not matter, and the most memory so far."""
    device = torch.device("cuda" if torch.cuda.is_initialized() else "cpu")
    return Spent(time.monotonic() / 60, time.process_time() / 60, peak_memory(device) / 1e9)
