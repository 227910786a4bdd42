"""Saving a bundle that took hours: if its file cannot be written, it is kept under another name."""

import contextlib
import secrets
import tempfile
from pathlib import Path

from hmnpack.bundle.bundle import Bundle
from hmnpack.errors import HmnError


def save_or_keep(bundle: Bundle, path: Path, *, force: bool) -> None:
    """Save a bundle, or keep it beside the path or in the folder for temporary files.

    Args:
        bundle: The bundle.
        path: The file to write.
        force: Replace an existing file.

    Raises:
        OutputExists: if the path exists without ``force``; the message says where the bundle is.
        BadSettings: if the path cannot be written; the same.
    """
    try:
        bundle.save(path, force=force)
    except HmnError as error:
        reason = str(error).partition(";")[0]
        kept = _kept(bundle, path)
        if kept is None:
            raise
        raise type(error)(
            f"{reason}; the finished result is kept in {kept}: move it to where you want it"
        ) from error


def _kept(bundle: Bundle, path: Path) -> Path | None:
    """Save a bundle in the first folder that can hold it, and return its path."""
    name = f"{path.stem}-{secrets.token_hex(3)}.hmn"
    for folder in (path.parent, Path(tempfile.gettempdir())):
        with contextlib.suppress(HmnError, OSError):
            bundle.save(folder / name)
            return folder / name
    return None
