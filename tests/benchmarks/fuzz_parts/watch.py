"""One call under watch: its result, all that it printed, warnings, log, and a time limit."""

import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hmnpack.errors import HmnError

SECONDS = 120.0
"""Time limit of one call. Far above what any takes, because the machine may be busy."""

CODES = (0, 2, 3, 4, 5, 6, 7, 130)
"""Exit codes that GUIDE.md lists, without 1, a defect."""


class Hang(BaseException):
    """A call took longer than its limit; no `except Exception` catches it."""


@dataclass
class Outcome:
    """What one call did.

    Attributes:
        value: What it returned.
        error: What it raised, apart from `SystemExit`.
        code: Exit code: of a command, or of the error that Python raised; None: no documented one.
        out: What it wrote to standard output, by any means.
        err: What it wrote to standard error, by any means.
        logged: Messages of the logger `hmnpack`.
        faults: What no input excuses.
    """

    value: Any = None
    error: BaseException | None = None
    code: int | None = 0
    out: str = ""
    err: str = ""
    logged: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def called(function: Callable[[], object], seconds: float = SECONDS) -> Outcome:
    """Return what a Python call did. Nothing may be printed, and errors are hmnpack's own."""
    outcome = _watched(function, seconds)
    error = outcome.error
    if isinstance(error, HmnError):
        outcome.code = error.exit_code
        outcome.faults += _faults_of_message(str(error))
    elif error is not None:
        outcome.code = None
    if outcome.out or outcome.err:
        outcome.faults.append(f"printed by a call: {(outcome.out + outcome.err)[:300]!r}")
    return outcome


def commanded(line: list[str], seconds: float = SECONDS) -> Outcome:
    """Return what a command line did: a documented exit code, and one last line for an error."""
    from hmnpack.cli.group import run  # all of the program but its signals

    outcome = _watched(lambda: run(line, "hmnpack"), seconds)
    outcome.code = outcome.value
    last = outcome.err.splitlines()[-1:] or [""]
    if outcome.code not in CODES and outcome.error is None:
        outcome.faults.append(f"exit code {outcome.code}: {outcome.err[-300:]}")
    if "Traceback" in outcome.err:
        outcome.faults.append(f"traceback: {outcome.err[-300:]}")
    if outcome.code and not last[0].startswith("hmnpack: "):
        outcome.faults.append(f"exit code {outcome.code} without a line: {outcome.err[-300:]!r}")
    return outcome


def _watched(function: Callable[[], object], seconds: float) -> Outcome:
    outcome = Outcome()
    with (
        _printed(outcome),
        _logged(outcome),
        warnings.catch_warnings(record=True) as warned,
        _limited(seconds),
    ):
        warnings.simplefilter("always")
        try:
            outcome.value = function()
        except (Hang, Exception) as error:
            outcome.error = error
            if not isinstance(error, HmnError):
                outcome.faults.append(_described(error))
    outcome.faults += [
        f"warning: {w.category.__name__}: {w.message} ({w.filename}:{w.lineno})" for w in warned
    ]
    return outcome


def _described(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    return f"{type(error).__name__}: {str(error)[:300]} ({where})"


def _faults_of_message(message: str) -> list[str]:
    faults = ["the message is empty"] if not message.strip() else []
    if "\n" in message:
        faults.append(f"the message has several lines: {message[:300]!r}")
    return faults


@contextlib.contextmanager
def _printed(outcome: Outcome) -> Iterator[None]:
    """Record what is written to descriptors 1 and 2, also by libraries in C."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir="/tmp")) for _ in range(2)]
        sys.stdout.flush()
        sys.stderr.flush()
        before = sys.stdout, sys.stderr
        kept = [os.dup(number) for number in (1, 2)]
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = (_text_to(number) for number in (1, 2))
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(ValueError, OSError):
                    stream.flush()
            sys.stdout, sys.stderr = before
            for number, saved in enumerate(kept, 1):
                os.dup2(saved, number)
                os.close(saved)
            for file in files:
                file.seek(0)
            outcome.out, outcome.err = (file.read().decode(errors="replace") for file in files)


def _text_to(number: int) -> io.TextIOWrapper:
    file = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(file, "utf-8", write_through=True)


@contextlib.contextmanager
def _logged(outcome: Outcome) -> Iterator[None]:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            outcome.logged.append(record.getMessage())

    handler, logger = Keep(), logging.getLogger("hmnpack")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
