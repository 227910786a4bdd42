"""Resumable work in a directory: each piece is cached under a name made of all that decides it.

Files are written whole or not at all, and read without pickle.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from torch import Tensor

from hmnpack.errors import BadSettings, HmnError
from hmnpack.runtime.output import replacing
from hmnpack.version import __version__

State = dict[str, Any]
"""Nested dictionaries and lists of tensors, numbers and texts."""


@dataclass(frozen=True)
class Store:
    """A directory of resumable work, which may serve several processes at a time.

    Attributes:
        folder: The directory; it is made when something is written.
        optional: Whether work goes on without the store: what cannot be read counts as missing,
            and what cannot be written is left out.
    """

    folder: Path
    optional: bool = False

    def entry(self, kind: str, *facts: object) -> "Entry":
        """Return the entry of a piece of work, which is done, unfinished, or not begun.

        Args:
            kind: What is cached, and the version of its contents: ``network-1``.
            facts: Texts, numbers and tensors that decide the result; see :func:`entry_name`.
        """
        return Entry(self.folder / f"{entry_name(kind, *facts)}.pt", self.optional)

    def check_writable(self) -> None:
        """Make the directory if it is missing, and check that it can be written to.

        To be called before hours of work that would not be cached.

        Raises:
            BadSettings: if it cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise BadSettings(
                f"cannot write to the work directory {self.folder} ({error.strerror or error}); "
                "name another"
            ) from error

    def is_writable(self) -> bool:
        """Return whether the directory can be written to; make it if it is missing."""
        try:
            self.check_writable()
        except BadSettings:
            return False
        return True


@dataclass(frozen=True)
class Entry:
    """A piece of work in a store.

    Attributes:
        path: The file of its result.
        optional: See :class:`Store`.
    """

    path: Path
    optional: bool = False

    @property
    def unfinished(self) -> Path:
        """The file of its state while it is unfinished."""
        return self.path.with_suffix(".part")

    def value(self, device: torch.device | str = "cpu") -> State | None:
        """Return the result; None if there is none yet, or its file is damaged.

        Args:
            device: Where its tensors go.
        """
        try:
            return read_state(self.path, device)
        except BadSettings:
            return None

    def state(self, device: torch.device | str = "cpu") -> State | None:
        """Return the state from which the work resumes; None if it was not begun.

        Args:
            device: Where its tensors go.

        Raises:
            BadSettings: if the file is damaged: only the caller knows what it was worth.
        """
        try:
            return read_state(self.unfinished, device)
        except BadSettings:  # another process may have finished the work meanwhile
            if self.unfinished.exists() and not self.optional:
                raise
            return None

    def save(self, state: State) -> None:
        """Write the state of unfinished work in place of the one before.

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
    """Return a file's name without its suffix: other facts or versions give another name.

    Args:
        kind: What the file holds, and the version of its contents: ``network-1``.
        facts: Texts, numbers and tensors that decide what it holds.
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


def write_state(path: Path, state: State) -> None:
    """Write a state, so that a kill at any moment leaves the old file or the new.

    Args:
        path: Where; folders above it are made.
        state: What to write.

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


def read_state(path: Path, device: torch.device | str = "cpu") -> State:
    """Read what :func:`write_state` wrote; nothing in the file can run.

    Raises:
        BadSettings: if the file cannot be read; the text says that it may be deleted.
    """
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises many kinds
        raise BadSettings(f"{path} cannot be read; delete it and start again") from error
    if not isinstance(state, dict):
        raise BadSettings(f"{path} holds no state of ours; delete it and start again")
    return state
