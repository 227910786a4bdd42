"""Output that is there as a whole or not at all, and never over what must not be overwritten."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from hmnpack.errors import BadSettings, OutputExists


def check_output_path(path: str | PathLike[str], *, force: bool) -> None:
    """Check, before any work, that a file may be written there.

    Args:
        path: The file to be.
        force: Allow a regular file to be replaced.

    Raises:
        OutputExists: if it is a symbolic link, a folder or a device, or exists without ``force``.
        BadSettings: if the folder that it would lie in does not exist, or may not be written.
    """
    path = Path(path)
    check_regular(path)
    if path.exists() and not force:
        raise OutputExists(
            f"{path} exists; name another file, or use force (--force) to replace it"
        )
    check_parent(path)


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, or nothing yet.

    Raises:
        OutputExists: if it is a symbolic link, a folder or a device.
    """
    if path.is_symlink():
        raise OutputExists(f"{path} is a symbolic link; name the file that it leads to")
    if path.is_dir():
        raise OutputExists(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise OutputExists(f"{path} is not a regular file; name another")


def check_distinct(output: str | PathLike[str], other: str | PathLike[str], what: str) -> None:
    """Check, before any work, that an output would not take the place of another file.

    Args:
        output: The file to be.
        other: The file that must stay; it may not be there yet.
        what: What the other is called: ``"the bundle"``.

    Raises:
        OutputExists: if both are the same file.
    """
    if os.path.realpath(output) == os.path.realpath(other):
        raise OutputExists(f"{output} is {what}; name another file")


def check_parent(path: Path) -> None:
    """Check that an output has a name, and that the folder it would lie in takes new files.

    Raises:
        BadSettings: if it has none, or the folder does not exist or may not be written.
    """
    if path.name in ("", ".."):
        raise BadSettings(f"{path} is no name of an output; name a new folder or file, such as out")
    if not path.parent.is_dir():
        raise BadSettings(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadSettings(
            f"{path}: the folder {path.parent} may not be written; change its mode, or name another"
        )


def sibling_of(path: Path) -> Path:
    """Return a new name beside an output, for it to be written under first."""
    return path.with_name(f".hmnpack-{secrets.token_hex(6)}.part")


@contextlib.contextmanager
def replacing(path: str | PathLike[str], *, force: bool) -> Iterator[BinaryIO]:
    """Give a new file to write to, which takes the path's place once all is on disk.

    It is a sibling of the path, so that taking its place is one step for the file system; its mode
    is what the umask leaves of 0666. If anything fails, it is removed and the path is untouched.

    Raises:
        OutputExists: see :func:`check_output_path`.
        BadSettings: the same, or if the system refuses to write there.
    """
    path = Path(path)
    check_output_path(path, force=force)
    sibling = sibling_of(path)
    try:
        with _created(sibling) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        check_output_path(path, force=force)
        sibling.replace(path)
    except OSError as error:
        raise BadSettings(f"{path} cannot be written ({error.strerror or error})") from error
    finally:
        sibling.unlink(missing_ok=True)


def write_atomically(path: str | PathLike[str], data: bytes, force: bool) -> None:
    """Write a whole file, or leave what was there; see :func:`replacing`.

    Args:
        path: Where.
        data: The file's bytes.
        force: Replace an existing file.
    """
    with replacing(path, force=force) as file:
        file.write(data)


def _created(path: Path) -> BinaryIO:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")
