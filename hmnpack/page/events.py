"""Reading the log of a run: the metrics by stage and step of the last run in the file.

The format is defined in :mod:`hmnpack.runtime.log`. Invalid lines and values are skipped: a killed
run may have truncated a line, and later versions of hmnpack may write other events.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hmnpack.errors import BadSettings
from hmnpack.runtime.paths import AnyPath, path_of

_OPENING = b'{"event"'
_MOST_STEPS = 2**53
_MOST_STAGES = 1000
_SIZES = 1e-30, 1e30
"""Range of magnitudes: larger values are skipped, smaller ones are treated as 0."""


@dataclass
class Stage:
    """Metrics of one stage of a run.

    Attributes:
        name: Name of the stage.
        figures: Metric -> step -> value. A repeated step keeps its last value.
    """

    name: str
    figures: dict[str, dict[int, float]] = field(default_factory=dict)

    def curve(self, figure: str) -> list[tuple[int, float]]:
        """Return (step, value) pairs of a metric in order of steps; empty if it was not logged."""
        return sorted(self.figures.get(figure, {}).items())


@dataclass
class RunLog:
    """Contents of a log, for its last run.

    Attributes:
        stages: Name -> stage, in the order in which they began.
        seconds: Running time in seconds, without interruptions.
        resumed: Number of times the run was resumed.
        ended: Whether the run completed.
    """

    stages: dict[str, Stage] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: int = 0
    ended: bool = False


def read_log(path: AnyPath) -> RunLog:
    """Read a log file.

    Raises:
        BadSettings: if the file cannot be read, or is not a log.
    """
    path = path_of(path)
    try:
        with path.open("rb") as file:
            if file.read(len(_OPENING)) != _OPENING:
                raise BadSettings(f"{path} is not the log of a run; give a file written by --log")
            file.seek(0)
            return log_of(file)
    except OSError as error:
        raise BadSettings(f"{path} cannot be read ({error.strerror or error})") from error


def log_of(lines: Iterable[bytes]) -> RunLog:
    """Parse the lines of a log."""
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
    done = _step(event.get("done"))
    if not isinstance(name, str) or not isinstance(figures, dict) or done is None:
        return
    if name not in log.stages and len(log.stages) == _MOST_STAGES:
        return
    stage = log.stages.setdefault(name, Stage(name))
    for figure, value in figures.items():
        number = _number(value)
        if number is not None:
            stage.figures.setdefault(figure, {})[done] = number


def _step(value: object) -> int | None:
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
    return number if abs(number) <= _SIZES[1] else None  # also None for NaN
