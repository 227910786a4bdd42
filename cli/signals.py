"""Signals that end a command: Ctrl-C, SIGTERM of schedulers, SIGHUP of terminals that close.

A command is interrupted by ``KeyboardInterrupt``, so that it cleans up. While nothing is to be
cleaned up, before its work begins and after, the process ends at once.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of an interrupted command."""

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_REPETITION = (signal.SIGALRM,) if hasattr(signal, "SIGALRM") else ()
"""Repeats an ending signal that came when nothing could be interrupted."""

_SOON = 0.05
"""Seconds until that repetition."""

_ONE_EVENT = 1.0
"""Seconds in which repeated signals are one: a closing terminal sends several."""


class Ending:
    """Handles the ending signals of a process that runs one command; see :data:`ending`.

    Attributes:
        interrupted: Whether the work was interrupted; a library may have replaced the exception.
    """

    def __init__(self) -> None:
        self.interrupted: bool = False
        self._working = False
        self._last = -_ONE_EVENT

    def begin(self) -> None:
        """Handle the signals, except those that are ignored (``nohup``) or handled otherwise."""
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._on_signal)
        for number in _REPETITION:
            signal.signal(number, self._on_signal)
        sys.unraisablehook = self._on_unraisable

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Interrupt the block with an exception, instead of ending the process at once."""
        self._working, self.interrupted = True, False
        try:
            yield
        finally:
            self._working = False

    def interrupt(self, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, but not while a module is being imported.

        Extension modules import others in C, where an exception may be lost, or crash the process.
        If a command imports what it needs, nothing is to be cleaned up yet: the process ends at
        once. Otherwise the signal is repeated until the import is over.

        Args:
            frame: Where the signal came, as Python passes it to handlers.
        """
        importer = _importer(frame)
        if importer is not None and not _is_in_work(importer):
            _end()
        if importer is not None and _repeat_soon():
            return
        self.interrupted = True
        self._last = time.monotonic()
        raise KeyboardInterrupt

    def finish(self) -> None:
        """Ignore the signals: the exit code is decided, and Python takes a while to end."""
        for number in (*ENDING, *_REPETITION):
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._working:
            if not self.interrupted:
                _end()
        elif time.monotonic() - self._last >= _ONE_EVENT:
            self.interrupt(frame)

    def _on_unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """Repeat an interruption that was raised where nothing can be raised, as in ``__del__``."""
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)
        elif self._working:
            self._last = -_ONE_EVENT
            _repeat_soon()


ending: Ending = Ending()
"""Of this process, once :meth:`Ending.begin` was called."""


def _end() -> NoReturn:
    """End the process at once."""
    with contextlib.suppress(OSError):
        os.write(2, b"hmnpack: interrupted\n")
    os._exit(INTERRUPTED)


def _importer(frame: FrameType | None) -> FrameType | None:
    """Return the frame that began the import in which a frame runs; None outside of imports."""
    found = None
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            found = frame.f_back
        frame = frame.f_back
    return found


def _is_in_work(frame: FrameType | None) -> bool:
    """Return whether a frame was called by hmnpack, not only by its command line."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("hmnpack.") and not name.startswith("hmnpack.cli"):
            return True
        frame = frame.f_back
    return False


def _repeat_soon() -> bool:
    """Let the system repeat the signal soon; return whether it can."""
    if _REPETITION:
        signal.setitimer(signal.ITIMER_REAL, _SOON)
    return bool(_REPETITION)
