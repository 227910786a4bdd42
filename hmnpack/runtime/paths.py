"""Paths as programs and users give them."""

import os
from os import PathLike
from pathlib import Path

from hmnpack.errors import BadSettings

AnyPath = str | bytes | PathLike[str] | PathLike[bytes]
"""A path as text, as the bytes of a file name, or as an object; ``~`` is a home folder."""

HUB = "hf://"
"""Beginning of the address of a file on the Hugging Face Hub, which is no path."""


STDIN = Path("/dev/stdin")


def is_hub_file(given: object) -> bool:
    """Return whether something is the address of a file on the hub."""
    return isinstance(given, str) and given.startswith(HUB)


def path_of(given: AnyPath) -> Path:
    """Return a path with ``~`` expanded.

    Raises:
        BadSettings: if it is empty, if there is no such home folder, or if it is the address of a
            file on the hub.
    """
    text = os.fsdecode(given)
    if not text:  # pathlib takes it for the current folder
        raise BadSettings("a path is empty; name a file or a folder")
    if is_hub_file(text):
        raise BadSettings(
            f"{text!r} is on the Hugging Face Hub, from which .hmn files are only read; give a path"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BadSettings(f"{text!r} does not exist: no such home folder") from error
