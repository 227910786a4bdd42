"""Atomic output files that never overwrite anything by accident."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.paths import AnyPath, path_of


def check_output_path(path: AnyPath, *, force: bool) -> None:
    """Check, before any work, that an output file can be written.

    Args:
        path: The output file.
        force: Allow a regular file to be replaced.

    Raises:
        OutputExists: if it is a symbolic link, a folder or a device, or exists without ``force``.
        BadSettings: if its folder does not exist or is not writable.
    """
    path = path_of(path)
    check_regular(path)
    if path.exists() and not force:
        raise OutputExists(
            f"{path} exists; name another file, or use force (--force) to replace it"
        )
    check_parent(path)


def check_name(path: Path) -> None:
    """Check that the system can look for a path.

    Raises:
        BadSettings: if its name is too long or not a file name, or its folder may not be searched.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadSettings(f"{path} cannot be an output ({reason}); name another") from error


def check_regular(path: Path) -> None:
    """Check that a path is a regular file or does not exist.

    Raises:
        OutputExists: if it is a symbolic link, a folder or a device.
        BadSettings: see :func:`check_name`.
    """
    check_name(path)
    if path.is_symlink():
        raise OutputExists(f"{path} is a symbolic link; name its target instead")
    if path.is_dir():
        raise OutputExists(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise OutputExists(f"{path} is not a regular file; name another")


def check_distinct(output: AnyPath, other: AnyPath, what: str) -> None:
    """Check, before any work, that an output would not replace another file.

    Args:
        output: The output file.
        other: The file to protect; it need not exist yet.
        what: Name of the other file in messages: ``"the bundle"``.

    Raises:
        OutputExists: if both are the same file.
    """
    if os.path.realpath(path_of(output)) == os.path.realpath(path_of(other)):
        raise OutputExists(f"{os.fsdecode(output)} is {what}; name another file")


def check_parent(path: Path) -> None:
    """Check that an output has a name and that its folder is writable.

    Raises:
        BadSettings: if it has no name, or its folder does not exist or is not writable.
    """
    if path.name in ("", ".."):
        raise BadSettings(f"{path} cannot be an output; name a new folder or file, such as out")
    if not path.parent.is_dir():
        raise BadSettings(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadSettings(
            f"{path}: the folder {path.parent} is not writable; change its mode, or name another"
        )


def sibling_of(path: Path) -> Path:
    """Return a temporary name in the output's folder."""
    return path.with_name(f".hmnpack-{secrets.token_hex(6)}.part")


@contextlib.contextmanager
def replacing(path: AnyPath, *, force: bool) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces the path once everything is on disk.

    The temporary file is in the same folder, so that the replacement is atomic. Its mode is 0666
    minus the umask. After a failure it is removed and the path is untouched.

    Raises:
        OutputExists: see :func:`check_output_path`.
        BadSettings: see :func:`check_output_path`; also if writing fails.
    """
    path = path_of(path)
    check_output_path(path, force=force)
    sibling = sibling_of(path)
    try:
        with _created(sibling) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        check_output_path(path, force=force)
        _move(sibling, path, force=force)
    except OSError as error:
        raise BadSettings(f"cannot write {path} ({error.strerror or error})") from error
    finally:
        sibling.unlink(missing_ok=True)


def _move(source: Path, target: Path, *, force: bool) -> None:
    """Rename a file; without ``force``, not over one that another process has just written."""
    if not force:
        try:
            os.link(source, target)
        except FileExistsError:
            check_output_path(target, force=False)
            raise
        except OSError:  # a file system without links
            pass
        else:
            return
    source.replace(target)


def write_atomically(path: AnyPath, data: bytes, force: bool) -> None:
    """Write a file atomically; see :func:`replacing`.

    Args:
        path: The file.
        data: Its content.
        force: Replace an existing file.
    """
    with replacing(path, force=force) as file:
        file.write(data)


def _created(path: Path) -> BinaryIO:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")
