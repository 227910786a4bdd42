"""Minutes and peak memory of a run by stage, in files, so that interrupted runs add up.

Both wall-clock and CPU minutes are recorded. CPU time is lower than wall-clock time on a machine
with other load, and higher with several threads.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from time import monotonic, process_time
from typing import Self

import torch

from hmnpack.runtime.machine import peak_memory
from hmnpack.runtime.output import write_atomically
from hmnpack.runtime.progress import Listener


@dataclass(frozen=True)
class Spent:
    """Resources used by a part of a run.

    Attributes:
        clock: Wall-clock minutes.
        processor: CPU minutes.
        peak_gb: Peak memory so far, in 10^9 bytes, of the accelerator or else of the process.
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
    """Minutes by stage of all processes, past and present, that record on the same path.

    Args:
        path: Base path. Each process writes its own file beside it, so that no process overwrites
            another's minutes. Existing files are counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
        self._recorded = _read(self._own)

    def add(self, stage: str, spent: Spent) -> None:
        """Add minutes to a stage. The file is replaced atomically."""
        self._recorded[stage] = self._recorded.get(stage, NOTHING) + spent
        self.path.parent.mkdir(parents=True, exist_ok=True)
        recorded = {name: asdict(spent) for name, spent in self._recorded.items()}
        write_atomically(self._own, json.dumps(recorded).encode(), force=True)

    @property
    def stages(self) -> dict[str, Spent]:
        """Total of each stage over all processes."""
        found: dict[str, Spent] = {}
        folder, pattern = self.path.parent, f"{escape(self.path.stem)}.*{self.path.suffix}"
        for file in (self.path, *sorted(folder.glob(pattern))):
            for stage, spent in _read(file).items():
                found[stage] = found.get(stage, NOTHING) + spent
        return found

    def of(self, stages: Iterable[str]) -> Spent:
        """Return the total of some stages."""
        found = self.stages
        return sum((found.get(stage, NOTHING) for stage in stages), NOTHING)


def _read(file: Path) -> dict[str, Spent]:
    stages = json.loads(file.read_text()) if file.exists() else {}
    return {stage: Spent(**spent) for stage, spent in stages.items()}


class Timed:
    """A listener that adds the time between two events to the stage that reports the second.

    Use it as a context manager around the run. Time after the last event is added to ``rest``.

    Args:
        minutes_of: Maps a stage's name to the `Minutes` that record it; None: not recorded.
        then: Listener that is called with every event too.
    """

    def __init__(self, minutes_of: Callable[[str], Minutes | None], then: Listener) -> None:
        self.minutes_of, self.then = minutes_of, then
        self._since = _now()

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Record the time and pass the event on."""
        self._add(stage)
        self.then(stage, done, total, **facts)

    def __enter__(self) -> Self:
        self._since = _now()
        return self

    def __exit__(self, *error: object) -> None:
        self._add("rest")

    def _add(self, stage: str) -> None:
        now = _now()
        since, self._since = self._since, now
        spent = Spent(now.clock - since.clock, now.processor - since.processor, now.peak_gb)
        if minutes := self.minutes_of(stage):
            minutes.add(stage, spent)


def _now() -> Spent:
    """Return minutes since an arbitrary origin, and the peak memory so far."""
    device = torch.device("cuda" if torch.cuda.is_initialized() else "cpu")
    return Spent(monotonic() / 60, process_time() / 60, peak_memory(device) / 1e9)
