"""The file beside the output that an unfinished run leaves, to go on from."""

from pathlib import Path
from typing import Any

import torch

from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import digest_of, read_state, write_state
from hmnpack.schema.config import CompressConfig


class Checkpoint:
    """The file beside the output that an unfinished run leaves.

    Args:
        path: Where; several ranks on several machines need a folder that all of them see.
        leader: Whether this rank writes it; every rank reads it.
    """

    def __init__(self, path: Path, *, leader: bool = True) -> None:
        self.path = path
        self.leader = leader
        self.key: str = ""
        self.state: dict[str, Any] | None = None

    def check_free(self, *, resume: bool, force: bool) -> None:
        """Refuse to overwrite an unfinished run that was not asked to go on.

        Raises:
            OutputExists: if there is a checkpoint, and neither resume nor force.
        """
        if self.path.exists() and not (resume or force):
            raise OutputExists(
                f"{self.path} holds an unfinished run; --resume goes on with it, --force starts "
                "again"
            )

    def open(self, key: str, *, resume: bool) -> None:
        """Name the run, and read its state if it is to be resumed and there is one.

        Raises:
            BadSettings: if the checkpoint is of another run.
        """
        self.key = key
        if not resume or not self.path.exists():
            self.clear()
            return
        state = read_state(self.path)
        if state.get("key") != key:
            raise BadSettings(
                f"{self.path} is of a run with other data, ipc, settings or device; repeat those, "
                "or start again with --force and without --resume"
            )
        self.state = state

    def write(self, **state: object) -> None:
        """Replace the checkpoint."""
        if self.leader:
            write_state(self.path, {"key": self.key, **state})

    def clear(self) -> None:
        """Remove the checkpoint: the run is done, or begins."""
        if self.leader:
            self.path.unlink(missing_ok=True)


def checkpoint_of(output: Path) -> Path:
    """Return where the checkpoint of a run lies that writes a file."""
    return output.with_name(output.name + ".ckpt")


def key_of(fingerprint: str, ipc: str, config: CompressConfig, device: torch.device) -> str:
    """Return what tells runs apart whose checkpoints may not be exchanged."""
    settings, version = config.model_dump_json(), str(torch.__version__)
    return digest_of(fingerprint, ipc, settings, kind_of(device), version)
