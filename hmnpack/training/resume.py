"""Resuming trainings: their states are saved in the entries of a store."""

from collections.abc import Sequence

import torch

from hmnpack.runtime.intervals import Intervals
from hmnpack.runtime.kept import Entry
from hmnpack.training.loop import TrainState
from hmnpack.training.together import OnEpochs

SECONDS = 60.0
"""Longest interval between states; an interrupted training loses at most this and one epoch."""


def training_in(entry: Entry, device: torch.device) -> TrainState | None:
    """Return the state that a training resumes from; None without a saved state.

    Args:
        entry: Store entry of the training.
        device: Device of the network.

    Raises:
        BadSettings: if the state cannot be read.
    """
    state = entry.state(device)
    return None if state is None else TrainState(**state)


def saving(entries: Sequence[Entry], seconds: float = SECONDS) -> OnEpochs:
    """Return a callback for ``on_epoch`` that saves the states of all networks of a call.

    Args:
        entries: Store entry of every training.
        seconds: Longest interval between two saves; see :class:`Intervals`.
    """
    intervals = Intervals(seconds)

    def save(which: slice, states: list[TrainState]) -> None:
        if intervals.due():
            for entry, state in zip(entries[which], states, strict=True):
                entry.save(vars(state))

    return save
