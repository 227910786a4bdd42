"""A folder of accuracies, and of trainings under way, by which an interrupted evaluation goes on.

A file is named by everything that decides what is in it, down to the version of torch, so a folder
may serve any number of evaluations, also several at a time.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hmnpack.runtime.kept import work_name, write_state
from hmnpack.runtime.output import write_atomically
from hmnpack.training import OnEpochs
from hmnpack.training.loop import TrainState, read_training

SECONDS = 60.0
"""Time between two states of a training; so much, and an epoch, is lost at most."""

_KIND = "network-2"
"""To be raised when training, or a file's layout, changes."""


@dataclass(frozen=True)
class Kept:
    """A folder of networks, see :func:`hmnpack.runtime.kept.work_folder`."""

    folder: Path

    def network(self, *facts: object) -> "KeptNetwork":
        """Return the network of these facts: texts and numbers that decide its accuracy."""
        return KeptNetwork(self.folder / f"{work_name(_KIND, *facts)}.json")


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

    def read_state(self, device: torch.device) -> TrainState | None:
        """Return how far the training got, if it was begun.

        Raises:
            BadSettings: if its file cannot be read.
        """
        return read_training(self.unfinished, device)

    def write_state(self, state: TrainState) -> None:
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
                network.write_state(state)
            last = time.monotonic()

    return keep


def read_accuracy(path: Path) -> float | None:
    """Return the accuracy that a file holds, in percent, if it holds one."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = float(json.loads(path.read_text(encoding="utf-8"))["accuracy"])
        return found if 0 <= found <= 100 else None
    return None


def accuracy_text(accuracy: float) -> bytes:
    """Return what :func:`read_accuracy` reads."""
    return json.dumps({"accuracy": accuracy}).encode()
