"""Standard streams of the command line: a lost log or terminal never ends the work."""

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any


class _Lossy(io.FileIO):
    """A raw file that drops what cannot be written: the reader of a log ended, a disk is full."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401  (any buffer, as in io.RawIOBase)
        """Write bytes, or drop them; return their number."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


def make_stderr_lossy() -> None:
    """Replace standard error: what cannot be written to it is dropped without an error.

    Standard error has progress and messages only; no result is lost with them.
    """
    stream = sys.__stderr__
    if stream is None or sys.stderr is not stream:  # closed, or somebody else's
        return
    with contextlib.suppress(OSError, ValueError):
        raw = _Lossy(stream.fileno(), "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
            write_through=True,
        )


def flush_stdout() -> None:
    """Flush standard output, so that an error appears now, not while Python exits.

    Raises:
        OSError: if what was printed cannot be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_stdout() -> None:
    """Drop what standard output still buffers, which Python would try to write at exit."""
    stream = sys.__stdout__
    if stream is None or sys.stdout is not stream:  # closed, or somebody else's
        return
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
