"""The log of a run, read back: the last run in the file, its figures by stage and step.

The format is that of :mod:`hmnpack.runtime.log`. What is no event, or no number, is passed
over: a kill may have cut a line short, and a later hmnpack may write more.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from hmnpack.errors import BadSettings

_OPENING = b'{"event"'
_MOST_STEPS = 2**53
_MOST_STAGES = 1000
_SIZES = 1e-30, 1e30
"""Figures beyond are passed over; those below count as 0."""


@dataclass
class Stage:
    """What one stage of a run said.

    Attributes:
        name: Of the stage.
        figures: Name of a figure -> step -> value. Of a step that was repeated, the later value.
    """

    name: str
    figures: dict[str, dict[int, float]] = field(default_factory=dict)

    def curve(self, figure: str) -> list[tuple[int, float]]:
        """Return the values of a figure by step, in order; none if it was never told."""
        return sorted(self.figures.get(figure, {}).items())


@dataclass
class RunLog:
    """What a log says of its last run.

    Attributes:
        stages: In the order in which they began.
        seconds: Time that it took, pauses not counted.
        resumed: How often it was resumed.
        ended: Whether it came to its end.
    """

    stages: dict[str, Stage] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: int = 0
    ended: bool = False


def read_log(path: str | PathLike[str]) -> RunLog:
    """Return what a log's file says.

    Raises:
        BadSettings: if it cannot be read, or is no log.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(len(_OPENING)) != _OPENING:
                raise BadSettings(f"{path} is no log of a run; name a file that --log wrote")
            file.seek(0)
            return log_of(file)
    except OSError as error:
        raise BadSettings(f"{path} cannot be read ({error.strerror or error})") from error


def log_of(lines: Iterable[bytes]) -> RunLog:
    """Return what the lines of a log say."""
    log = RunLog()
    for line in lines:
        event = _event(line)
        if event is None:
            continue
        kind = event.get("event")
        if kind == "begun":
            log = RunLog()
        elif kind == "progress":
            _add(log, event)
        log.resumed += kind == "resumed"
        log.ended = kind == "ended"
        log.seconds = max(log.seconds, _number(event.get("seconds")) or 0.0)
    return log


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _add(log: RunLog, event: dict[str, Any]) -> None:
    name, figures = event.get("stage"), event.get("figures")
    done = _whole(event.get("done"))
    if not isinstance(name, str) or not isinstance(figures, dict) or done is None:
        return
    if name not in log.stages and len(log.stages) == _MOST_STAGES:
        return
    stage = log.stages.setdefault(name, Stage(name))
    for figure, value in figures.items():
        number = _number(value)
        if number is not None:
            stage.figures.setdefault(figure, {})[done] = number


def _whole(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_STEPS
    return value if fits and isinstance(value, int) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if abs(number) < _SIZES[0]:
        return 0.0
    return number if abs(number) <= _SIZES[1] else None  # nor if it is no number
