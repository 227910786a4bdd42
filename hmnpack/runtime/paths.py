"""Paths as programs and users give them."""

import os
from os import PathLike
from pathlib import Path

from hmnpack.errors import BadSettings

AnyPath = str | bytes | PathLike[str] | PathLike[bytes]
"""A path as text, as the bytes of a file name, or as an object; ``~`` is a home folder."""


def path_of(given: AnyPath) -> Path:
    """Return a path with ``~`` expanded.

    Raises:
        BadSettings: if there is no such home folder.
    """
    text = os.fsdecode(given)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BadSettings(f"{text!r} does not exist: no such home folder") from error
