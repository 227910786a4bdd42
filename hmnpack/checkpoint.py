"""State on disk while a run is under way: written whole or not at all, read without pickle."""

from pathlib import Path
from typing import Any

import torch

from hmnpack.errors import BadSettings, OutputExists
from hmnpack.output import replacing
from hmnpack.runtime import kind_of
from hmnpack.schema.config import CompressConfig
from hmnpack.work import digest_of


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

    def refuse_unless(self, *, resume: bool, force: bool) -> None:
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
