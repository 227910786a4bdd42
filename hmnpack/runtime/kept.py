"""Cache of resumable work: each result is stored under a hash of everything that determines it.

Files are written atomically and read without executing pickled code.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from hmnpack.errors import BadSettings, HmnError, is_out_of_memory
from hmnpack.runtime.output import replacing
from hmnpack.version import __version__

State = dict[str, Any]
"""Nested dictionaries and lists of tensors, numbers and strings."""

_HASHED_AT_ONCE = 256
"""Images that are read at once to be hashed."""


@dataclass(frozen=True)
class Store:
    """A work directory; several processes may use it concurrently.

    Attributes:
        folder: The directory; created on the first write.
        optional: Ignore failures: an unreadable entry counts as missing, and an entry that
            cannot be written is skipped.
    """

    folder: Path
    optional: bool = False

    def entry(self, kind: str, *facts: object) -> "Entry":
        """Return the entry of a piece of work, whether it is finished, unfinished or not started.

        Args:
            kind: What is cached, and the version of its contents: ``network-1``.
            facts: Strings, numbers and tensors that determine the result; see :func:`entry_name`.
        """
        return Entry(self.folder / f"{entry_name(kind, *facts)}.pt", self.optional)

    def check_writable(
        self, what: str = "the work directory", instead: str = "name another"
    ) -> None:
        """Check that the directory is writable; create it if it is missing.

        Call it before hours of work whose results could not be cached.

        Args:
            what: What the directory is, for the error message.
            instead: What to do about it, for the error message.

        Raises:
            BadSettings: if it is not writable.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise BadSettings(
                f"cannot write to {what} {self.folder} ({error.strerror or error}); {instead}"
            ) from error

    def is_writable(self) -> bool:
        """Return whether the directory is writable; create it if it is missing."""
        try:
            self.check_writable()
        except BadSettings:
            return False
        return True


@dataclass(frozen=True)
class Entry:
    """A piece of work in a store.

    Attributes:
        path: File of the result.
        optional: See :class:`Store`.
    """

    path: Path
    optional: bool = False

    @property
    def unfinished(self) -> Path:
        """File of the state while the work is unfinished."""
        return self.path.with_suffix(".part")

    def value(self, device: torch.device | str = "cpu") -> State | None:
        """Return the result; None if there is none yet or its file is damaged.

        Args:
            device: Device of its tensors.
        """
        try:
            return read_state(self.path, device)
        except BadSettings:
            return None

    def state(self, device: torch.device | str = "cpu") -> State | None:
        """Return the state from which the work resumes; None if it was not started.

        Args:
            device: Device of its tensors.

        Raises:
            BadSettings: if the file is damaged; whether to discard it is the user's decision.
        """
        try:
            return read_state(self.unfinished, device)
        except BadSettings:  # another process may have finished the work meanwhile
            if self.unfinished.exists() and not self.optional:
                raise
            return None

    def save(self, state: State) -> None:
        """Write the state of unfinished work, replacing the previous one.

        Raises:
            BadSettings: if it cannot be written.
        """
        with self._may_fail():
            write_state(self.unfinished, state)

    def finish(self, value: State) -> None:
        """Write the result, and remove the state.

        Raises:
            BadSettings: if it cannot be written.
        """
        with self._may_fail():
            write_state(self.path, value)
            self.unfinished.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            yield
        except (HmnError, OSError):
            if not self.optional:
                raise


def entry_name(kind: str, *facts: object) -> str:
    """Return the file name of an entry without its suffix, a hash of all arguments.

    The versions of hmnpack and torch are part of the hash.

    Args:
        kind: What the file contains, and the version of its contents: ``network-1``.
        facts: Strings, numbers and tensors that determine its contents.
    """
    versions = (__version__, str(torch.__version__))
    return f"{kind.partition('-')[0]}-{digest_of(kind, *versions, *facts)[:24]}"


@runtime_checkable
class InParts(Protocol):
    """Images that are read a part at a time, see `hmnpack.sources.lazy`."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images."""

    def split(self, size: int) -> Iterator[Tensor]:
        """Return all images in order, at most ``size`` at a time."""


def digest_of(*facts: object) -> str:
    """Return the hexadecimal sha256 of strings, numbers, tensors and images in parts.

    Images in parts have the hash of the tensor of all of them.
    """
    found = hashlib.sha256()
    for fact in facts:
        if isinstance(fact, Tensor):
            found.update(repr((fact.dtype, tuple(fact.shape))).encode())
            found.update(fact.detach().cpu().contiguous().numpy().data)
        elif isinstance(fact, InParts):
            found.update(repr((fact.dtype, tuple(fact.shape))).encode())
            for part in fact.split(_HASHED_AT_ONCE):
                found.update(part.cpu().numpy().data)
        else:
            found.update(repr(fact).encode() + b"\0")  # separates facts: (1, 10) is not (11, 0)
    return found.hexdigest()


def write_state(path: Path, state: State) -> None:
    """Write a state atomically: a kill at any moment leaves the old file or the new one.

    Args:
        path: The file; parent folders are created.
        state: The state.

    Raises:
        BadSettings: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"cannot create {path.parent} ({error.strerror or error}); name another folder"
        ) from error
    with replacing(path, force=True) as file:
        torch.save(state, file)


def read_state(path: Path, device: torch.device | str = "cpu") -> State:
    """Read a state written by :func:`write_state`, without executing code from the file.

    Raises:
        BadSettings: if the file is unreadable; if it is damaged, the message says to delete it.
    """
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise BadSettings(f"cannot read {path} ({error.strerror or error})") from error
    except Exception as error:  # torch.load raises many types for a damaged file
        if is_out_of_memory(error):
            raise
        raise BadSettings(f"cannot read {path}; delete it and start again") from error
    if not isinstance(state, dict):
        raise BadSettings(f"{path} does not contain a saved state; delete it and start again")
    return state
