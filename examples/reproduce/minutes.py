"""The minutes of a run by stage, in a file, so that those of interrupted runs add up."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from hmnpack.runtime import Listener


class Minutes:
    """Minutes by stage.

    Args:
        path: Where they are kept; a file that is there already is gone on with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, stage: str, minutes: float) -> None:
        """Book minutes on a stage; a kill leaves the old file or the new."""
        self.stages[stage] = self.stages.get(stage, 0.0) + minutes
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(json.dumps(self.stages))
        new.replace(self.path)

    def total(self) -> float:
        """Return the minutes of all stages."""
        return sum(self.stages.values())


class Timed:
    """A listener that books the time between two events on the stage that reports the second.

    Use it as a context around the run: what is left at the end is booked on ``rest``.

    Args:
        book: From a stage's name to where its minutes go.
        then: A listener that hears of everything too.
    """

    def __init__(self, book: Callable[[str], Minutes], then: Listener) -> None:
        self.book, self.then = book, then
        self._since = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Hear of progress."""
        self._booked(stage)
        self.then(stage, done, total, **facts)

    def __enter__(self) -> Self:
        self._since = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self._booked("rest")

    def _booked(self, stage: str) -> None:
        now = time.monotonic()
        self.book(stage).add(stage, (now - self._since) / 60)
        self._since = now
