"""Networks that a folder keeps, trained or half trained, so that an interrupted evaluation goes on.

A file is named by everything that decides what is in it, down to the version of torch, so a folder
may serve any number of evaluations, also several at a time.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

import torch
from torch import Tensor

from hmnpack.checkpoint import read_state, write_state
from hmnpack.errors import BadSettings
from hmnpack.output import write_atomically
from hmnpack.together import OnEpochs
from hmnpack.training import TrainState
from hmnpack.version import __version__

SECONDS = 60.0
"""Time between two states of a training; so much is lost at most."""

_LAYOUT = "kept/1"
"""Part of every name: to be raised when training, or a file's layout, changes."""


@dataclass(frozen=True)
class Kept:
    """A folder of networks."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the folder, made where it is missing.

        Raises:
            BadSettings: if it cannot be made or written to: hours of work would not be kept.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise BadSettings(
                f"{folder} cannot keep networks ({error.strerror or error}); name another folder"
            ) from error
        return cls(folder)

    def network(self, *facts: object) -> "KeptNetwork":
        """Return the network of these facts: texts and numbers that decide its accuracy."""
        name = digest_of(_LAYOUT, __version__, str(torch.__version__), *facts)
        return KeptNetwork(self.folder / f"network-{name[:24]}.json")


@dataclass(frozen=True)
class KeptNetwork:
    """One network.

    Attributes:
        path: The file of its accuracy; beside it that of its training, as long as it is under way.
    """

    path: Path

    @property
    def unfinished(self) -> Path:
        """The file of a training that is under way."""
        return self.path.with_suffix(".part")

    def accuracy(self) -> float | None:
        """Return the accuracy, in percent, if the network is trained."""
        return read_accuracy(self.path)

    def finish(self, accuracy: float) -> None:
        """Keep the accuracy, in percent, instead of the training."""
        write_atomically(self.path, accuracy_text(accuracy), force=True)
        self.unfinished.unlink(missing_ok=True)

    def reached(self, device: torch.device) -> TrainState | None:
        """Return how far the training got, if it was begun.

        Raises:
            BadSettings: if its file cannot be read.
        """
        if not self.unfinished.exists():
            return None
        return TrainState(**read_state(self.unfinished, device))

    def reach(self, state: TrainState) -> None:
        """Keep how far the training got.

        Raises:
            BadSettings: if the file cannot be written.
        """
        write_state(self.unfinished, vars(state))


def keeping(networks: Sequence[KeptNetwork], seconds: float = SECONDS) -> OnEpochs:
    """Return what keeps the states of networks that are trained together, now and then.

    Args:
        networks: All of them.
        seconds: Least time from one state to the next.
    """
    last = time.monotonic()

    def keep(which: slice, states: list[TrainState]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            for network, state in zip(networks[which], states, strict=True):
                network.reach(state)
            last = time.monotonic()

    return keep


def digest_of(*facts: object) -> str:
    """Return the sha256 over texts, numbers and tensors, in hexadecimal."""
    found = hashlib.sha256()
    for fact in facts:
        if isinstance(fact, Tensor):
            found.update(repr((fact.dtype, tuple(fact.shape))).encode())
            found.update(fact.detach().cpu().contiguous().numpy().data)
        else:
            found.update(repr(fact).encode())
    return found.hexdigest()


def read_accuracy(path: Path) -> float | None:
    """Return the accuracy that a file holds, in percent, if it holds one."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = float(json.loads(path.read_text(encoding="utf-8"))["accuracy"])
        return found if 0 <= found <= 100 else None
    return None


def accuracy_text(accuracy: float) -> bytes:
    """Return what :func:`read_accuracy` reads."""
    return json.dumps({"accuracy": accuracy}).encode()
