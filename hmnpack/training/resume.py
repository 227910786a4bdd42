"""Trainings that resume: their states in the entries of a store."""

import time
from collections.abc import Sequence

import torch

from hmnpack.runtime.kept import Entry
from hmnpack.training.loop import TrainState
from hmnpack.training.together import OnEpochs

SECONDS = 60.0
"""Time between two saved states of a long training: so much and an epoch are lost at most."""


def training_in(entry: Entry, device: torch.device) -> TrainState | None:
    """Return the state that a training resumes from; None if it was not begun.

    Args:
        entry: Of the training.
        device: Where the network is.

    Raises:
        BadSettings: if the state cannot be read.
    """
    state = entry.state(device)
    return None if state is None else TrainState(**state)


def saving(entries: Sequence[Entry], seconds: float = SECONDS) -> OnEpochs:
    """Return what saves the states of networks that are trained at once, after an epoch.

    Args:
        entries: Of all of these trainings.
        seconds: Least time from one saved state to the next.
    """
    last = time.monotonic()

    def save(which: slice, states: list[TrainState]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            for entry, state in zip(entries[which], states, strict=True):
                entry.save(vars(state))
            last = time.monotonic()

    return save
