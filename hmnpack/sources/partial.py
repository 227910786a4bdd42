"""Folders that are not complete yet.

They lie beside the place that they are meant for, under a name of their own, and are renamed when
they are complete.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

_SUFFIX = ".part"


@contextlib.contextmanager
def partial_folder(path: Path) -> Iterator[Path | None]:
    """Yield a new folder beside a path, and remove it afterwards unless it was renamed.

    Folders that killed processes left beside it are removed first. The lock that tells them apart
    belongs to an open file, so the system releases it however a process ends.

    Args:
        path: The place that the folder is meant for.

    Yields:
        The folder; None if none can be created there.
    """
    with contextlib.ExitStack() as held:
        yield _created(path, held)


def _created(path: Path, held: contextlib.ExitStack) -> Path | None:
    folder = path.with_name(f"{path.name}.{uuid4().hex}{_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        folder.mkdir()
    except OSError:
        return None
    held.callback(shutil.rmtree, folder, ignore_errors=True)
    _lock(folder, held)
    return folder


def _remove_abandoned(parent: Path) -> None:
    """Remove the partial folders that no process holds."""
    for folder in parent.glob(f"*{_SUFFIX}"):
        with contextlib.ExitStack() as held:
            if _lock(folder, held):
                shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path, held: contextlib.ExitStack) -> bool:
    """Take the lock of a folder until the stack is closed; return whether it was free."""
    try:
        import fcntl  # noqa: PLC0415 - Unix has it

        opened = os.open(folder, os.O_RDONLY)
        held.callback(os.close, opened)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
