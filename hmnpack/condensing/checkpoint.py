"""The checkpoint beside the output, from which an unfinished run resumes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import digest_of, read_state, write_state
from hmnpack.schema.config import CompressConfig
from hmnpack.version import __version__


class Checkpoint:
    """The checkpoint file of an unfinished run, beside its output.

    Args:
        path: Path of the file. Ranks on several machines need a shared folder.
        leader: Whether this rank writes the file; every rank reads it.
    """

    def __init__(self, path: Path, *, leader: bool = True) -> None:
        self.path = path
        self.leader = leader
        self.key: str = ""
        self.state: dict[str, Any] | None = None
        self.extra: Callable[[], dict[str, object]] = dict

    def check_free(self, *, resume: bool, force: bool) -> None:
        """Check that no unfinished run would be overwritten unasked.

        Raises:
            OutputExists: if there is a checkpoint and neither ``resume`` nor ``force`` is set.
        """
        if self.path.exists() and not (resume or force):
            raise OutputExists(
                f"{self.path} holds an unfinished run; pass --resume to continue it, or --force to "
                "start again"
            )

    def open(self, key: str, *, resume: bool) -> None:
        """Set the run's key; read the stored state when resuming, else delete it.

        Raises:
            BadSettings: if the checkpoint belongs to another run.
        """
        self.key = key
        if not resume or not self.path.exists():
            self.clear()
            return
        state = read_state(self.path)
        if state.get("key") != key:
            raise BadSettings(
                f"{self.path} belongs to another run: its data, ipc, settings, minutes, device, "
                "versions of hmnpack and torch, or the file appended to, are not these; repeat "
                "that run's arguments, or start again with --force and without --resume"
            )
        self.state = state

    def write(self, **state: object) -> None:
        """Replace the checkpoint; what ``extra`` returns goes into it, too."""
        if self.leader:
            write_state(self.path, {"key": self.key, **self.extra(), **state})

    def clear(self) -> None:
        """Remove the checkpoint, at the start or the end of a run."""
        if self.leader:
            self.path.unlink(missing_ok=True)


def checkpoint_of(output: Path) -> Path:
    """Return the checkpoint path of the run that writes ``output``."""
    return output.parent / f"{output.name}.ckpt"


def key_of(fingerprint: str, ipc: str, config: CompressConfig, device: torch.device) -> str:
    """Return the run's key: runs with different keys cannot share a checkpoint."""
    settings, versions = config.model_dump_json(), (str(torch.__version__), __version__)
    return digest_of(fingerprint, ipc, settings, kind_of(device), versions)
