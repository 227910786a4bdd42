"""Locks of output files: only one run at a time works for an output."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hmnpack.errors import OutputExists


def check_unlocked(output: Path) -> None:
    """Check that no other run is writing this output.

    Raises:
        OutputExists: if another run is.
    """
    if lock_of(output).exists():
        with locked(output):
            pass


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of an output during the block.

    The lock belongs to the open file, not to the file's existence. The system releases it however
    the process ends, so a killed run leaves an empty file at most, which the next run removes.
    Without locks in the system or its file system, nothing is locked.

    Raises:
        OutputExists: if another run holds the lock.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):
            _hold(output, held)
        yield


def lock_of(output: Path) -> Path:
    """Return the path of an output's lock file."""
    return output.parent / f".{output.name}.lock"


def _hold(output: Path, held: contextlib.ExitStack) -> None:
    """Take the lock until the stack is closed."""
    import fcntl  # noqa: PLC0415 - Unix has it

    path = lock_of(output)
    while True:
        with contextlib.ExitStack() as opened:
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)
            opened.callback(os.close, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputExists(
                    f"another run is writing {output}; wait for it to end, or name another file"
                ) from error
            if _is_at(file, path):
                held.push(opened.pop_all())
                held.callback(path.unlink, missing_ok=True)  # first, while the lock is held
                return


def _is_at(file: int, path: Path) -> bool:
    """Return whether an open file is still at its path: another run may have removed it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
