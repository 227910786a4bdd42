"""What is kept of long work: files named by all that decides them, and state in files.

State is written whole or not at all, and read without pickle.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.runtime.output import replacing
from hmnpack.version import __version__


def work_folder(path: Path) -> Path:
    """Return the folder, made where it is missing, and found fit to be written to.

    Raises:
        BadSettings: if it is not: hours of work would not be kept.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise BadSettings(
            f"{path} cannot keep work ({error.strerror or error}); name another folder"
        ) from error
    return path


def work_name(kind: str, *facts: object) -> str:
    """Return the beginning of a file's name: other facts, or versions, give another.

    Args:
        kind: What is kept, and the version of its layout: ``network-1``.
        facts: Texts, numbers and tensors that decide it.
    """
    versions = (__version__, str(torch.__version__))
    return f"{kind.partition('-')[0]}-{digest_of(kind, *versions, *facts)[:24]}"


def digest_of(*facts: object) -> str:
    """Return the sha256 over texts, numbers and tensors, in hexadecimal."""
    found = hashlib.sha256()
    for fact in facts:
        if isinstance(fact, Tensor):
            found.update(repr((fact.dtype, tuple(fact.shape))).encode())
            found.update(fact.detach().cpu().contiguous().numpy().data)
        else:
            found.update(repr(fact).encode() + b"\0")  # or 1 and 10 would be as 11 and 0
    return found.hexdigest()


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and text, so that a kill at any moment leaves the old file or the new.

    Args:
        path: Where; folders above it are made.
        state: Nested dictionaries and lists of tensors, numbers, texts.

    Raises:
        BadSettings: if it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"{path.parent} cannot be made ({error.strerror or error}); name another folder"
        ) from error
    with replacing(path, force=True) as file:
        torch.save(state, file)


def read_if_there(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read what :func:`write_state` wrote, if another process has not removed it meanwhile."""
    try:
        return read_state(path, device)
    except BadSettings:
        if path.exists():
            raise
        return None


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what :func:`write_state` wrote; nothing in the file can run.

    Raises:
        BadSettings: if the file cannot be read; the text says that it may be deleted.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises many kinds
        raise BadSettings(f"{path} cannot be read; delete it and start again") from error
    if not isinstance(state, dict):
        raise BadSettings(f"{path} holds no state of ours; delete it and start again")
    return state
