"""Run logs: a file of JSON lines, or scalars for TensorBoard.

Both are listeners and can be combined with progress bars (:func:`together`). Both append, so a
resumed run continues the same log.

A JSON log is UTF-8 text with one object per line, in chronological order::

    {"event": "begun", "utc": "2025-01-31T12:00:00.000Z", "seconds": 0.0}
    {"event": "progress", "utc": ..., "seconds": 12.345, "stage": "matching", "done": 10,
     "total": 500, "figures": {"loss": 1.25}}
    {"event": "stopped", "utc": ..., "seconds": 60.0, "why": "Paused: paused at step 80 ..."}
    {"event": "resumed", "utc": ..., "seconds": 60.0}
    {"event": "ended", "utc": ..., "seconds": 99.0}

``event``
    ``begun``, ``resumed``: a process started; ``progress``: ``done`` of ``total`` parts of
    ``stage`` are done (``total`` 0: unknown); ``stopped``: the run was paused or failed;
    ``ended``: the run completed. A killed process writes neither of the last two.
``utc``
    Time of the event in UTC, to the millisecond.
``seconds``
    Time since the run began, to the millisecond, without the time between pause and resumption.
``figures``
    Metrics such as a loss, by name; may be empty. Infinity and NaN are null.

A reader should skip lines that are not JSON (a kill may truncate one) and start at the last
``begun`` (a file may contain several runs). If a step of a stage occurs twice, the later line
counts: a killed run repeats the steps after its last checkpoint.
"""

import contextlib
import errno
import json
import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hmnpack.errors import BadSettings, MissingExtra, OutputExists
from hmnpack.runtime.output import check_parent, check_regular
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener

_OPENING = b'{"event"'
_TAIL = 2**16
"""Bytes to read from the end of a log to find its last complete line."""


def together(*listeners: Listener) -> Listener:
    """Return a listener that calls all of these, in this order."""

    def call_all(stage: str, done: int, total: int, **facts: float) -> None:
        for listener in listeners:
            listener(stage, done, total, **facts)

    return call_all


class JsonLines:
    """A listener that appends a line to a file for every event, unbuffered.

    A context manager: leaving it writes how the run ended and closes the file. The module
    docstring defines the format. An event that cannot be written, for example because the disk is
    full, is left out: a log does not end the work.

    Attributes:
        lost: Why events are missing from the file; empty if none is.

    Args:
        path: The file; created if missing, else appended to.
        resumed: Continue the log's last run, and its time, unless that run ended.

    Raises:
        OutputExists: if the path is a link, a folder, a device, or a file that is not a log.
        BadSettings: if the file cannot be written.
    """

    def __init__(self, path: AnyPath, *, resumed: bool = False) -> None:
        self.path: Path = path_of(path)
        self.lost: str = ""
        self._torn = False
        check_regular(self.path)
        if not self.path.exists():
            check_parent(self.path)
        try:
            self._file = FileIO(self.path, "a+")
        except OSError as error:
            raise self._unwritable(error) from error
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._file.close)
            tail = self._tail()
            last = _last_line(tail)
            resumed = resumed and bool(tail) and last.get("event") != "ended"
            self._start = time.monotonic() - (float(last.get("seconds", 0.0)) if resumed else 0.0)
            self._torn = not tail.endswith(b"\n") and bool(tail)
            self._write("resumed" if resumed else "begun")
            if self.lost:
                raise BadSettings(f"cannot write {self.path} ({self.lost}); name another file")
            on_failure.pop_all()

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Append a ``progress`` line with all metrics; see :class:`Listener`."""
        figures = {name: value if math.isfinite(value) else None for name, value in facts.items()}
        self._write("progress", stage=stage, done=done, total=total, figures=figures)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                self._write("ended")
            else:
                self._write("stopped", why=f"{type(error).__name__}: {error}".removesuffix(": "))

    def _tail(self) -> bytes:
        """Return the end of the file; raise if the file is not a log."""
        self._file.seek(0)
        if not _OPENING.startswith(self._file.read(len(_OPENING))):
            raise OutputExists(f"{self.path} exists and is not a run log; name another file")
        self._file.seek(max(0, self._file.seek(0, 2) - _TAIL))
        return self._file.read()

    def _write(self, event: str, **facts: object) -> None:
        utc = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        seconds = round(time.monotonic() - self._start, 3)
        line = {"event": event, "utc": utc, "seconds": seconds, **facts}
        self._append(json.dumps(line, allow_nan=False).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        """Append a line, after ending the one before if only its beginning was written."""
        line = b"\n" + line if self._torn else line
        try:
            written = self._file.write(line) or 0
        except OSError as error:
            self.lost = error.strerror or str(error)
            return
        if written < len(line):
            self.lost = os.strerror(errno.ENOSPC)
            self._torn = self._torn or written > 0
        else:
            self._torn = False

    def _unwritable(self, error: OSError) -> BadSettings:
        return BadSettings(f"cannot write {self.path} ({error.strerror}); name another file")


def _last_line(tail: bytes) -> dict[str, Any]:
    """Return the last complete event with a time; empty if there is none."""
    for line in reversed(tail.splitlines()):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            event = json.loads(line)
            return {**event, "seconds": float(event["seconds"])}
    return {}


class TensorBoard:
    """A listener that writes each metric as the scalar ``<stage>/<metric>`` at step ``done``.

    A context manager: leaving it closes the files. A resumed run uses the same folder. An event
    that cannot be written is left out: a log does not end the work.

    Attributes:
        lost: Why events are missing from the files; empty if none is.

    Args:
        folder: The log folder; created with its parents if missing.

    Raises:
        MissingExtra: if TensorBoard is not installed.
        OutputExists: if the path is a file.
        BadSettings: if the folder cannot be written to.
    """

    def __init__(self, folder: AnyPath) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtra.of("a log for TensorBoard", "tensorboard") from error
        self.path: Path = path_of(folder)
        self.lost: str = ""
        if self.path.exists() and not self.path.is_dir():
            raise OutputExists(f"{self.path} is a file; name a folder for TensorBoard")
        try:
            self._writer = SummaryWriter(str(self.path), flush_secs=10)
        except OSError as error:
            raise BadSettings(
                f"cannot write to {self.path} ({error.strerror}); name another folder"
            ) from error

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Write the metrics of an event, unless that fails."""
        with self._failing():
            for name, value in facts.items():
                self._writer.add_scalar(f"{stage}/{name}", value, done)

    def close(self) -> None:
        """Flush and close the files."""
        with self._failing():
            self._writer.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Note an error of the files instead of raising it: a log does not end the work."""
        try:
            yield
        except OSError as error:
            self.lost = error.strerror or str(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
