"""State on disk while a run is under way: written whole or not at all, read without pickle."""

from pathlib import Path
from typing import Any

import torch

from hmnpack.errors import BadSettings
from hmnpack.output import replacing


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
