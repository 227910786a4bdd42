"""Weights that a network had after each epoch of its training, in files of their own.

A network that was interrupted goes on at its epoch; what it was before is not computed again.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hmnpack.checkpoint import read_if_there, write_state
from hmnpack.errors import BadSettings

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Snapshots:
    """The files of one network's snapshots.

    Attributes:
        path: The file of its trained weights, which gives theirs their names.
        epochs: Epochs of its training.
    """

    path: Path
    epochs: int

    def write(self, epoch: int, weights: Weights) -> None:
        """Keep the weights after so many epochs, 1 or more."""
        write_state(self._file(epoch), weights)

    def are_there(self, epochs: int) -> bool:
        """Return whether there is a file for each of the first epochs, but for the last of all."""
        kept = range(1, min(epochs, self.epochs - 1) + 1)
        return all(self._file(epoch).exists() for epoch in kept)

    def read(self) -> list[Weights] | None:
        """Return the weights after each epoch but the last; None if a file is not fit to be read.

        After the last epoch they are the trained ones.
        """
        found = []
        for epoch in range(1, self.epochs):
            try:
                weights = read_if_there(self._file(epoch))
            except BadSettings:
                return None
            if weights is None:
                return None
            found.append(weights)
        return found

    def _file(self, epoch: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.epoch-{epoch}{self.path.suffix}")
