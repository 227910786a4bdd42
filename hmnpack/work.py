"""A folder that keeps what is done of long work, in files named by all that decides them."""

import hashlib
from pathlib import Path
from tempfile import TemporaryFile

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
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
