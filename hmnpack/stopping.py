"""Early stopping: a stage's best weights by the accuracy of quick networks, and when to give up.

The images that judge are real ones which condensing never saw, never those of the test split.
"""

import math
from typing import Any

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.schema.stopping import StoppingConfig


class BestWeights:
    """The weights that were judged best so far, and for how long none were better.

    Ranks hold all rows when they are judged, and all hear of the same accuracies.

    Args:
        container: On its device; its parameters keep their identity.
        config: How much patience there is; without probes nothing is ever judged.
    """

    def __init__(self, container: Container, config: StoppingConfig) -> None:
        self.container = container
        self.patience = config.patience
        self.accuracy = -math.inf
        """Of the best, in percent."""
        self.since = 0
        """How often none was better since."""
        self.weights: dict[str, Tensor] = {}
        """Parameter name -> value when it was best; empty before the first time."""

    @property
    def ended(self) -> bool:
        """Whether patience is at an end."""
        return self.since >= self.patience

    def judged(self, accuracy: float) -> None:
        """Take in how good the container's weights are now.

        Args:
            accuracy: In percent; NaN, of a quick network that diverged, is no better than any.
        """
        if accuracy > self.accuracy:
            self.accuracy, self.since = accuracy, 0
            self.weights = self.container.copied()
        else:
            self.since += 1

    def take(self) -> None:
        """Give the container the best weights for good, if any were judged."""
        self.container.set_values(self.weights)

    def state(self) -> dict[str, Any]:
        """Return everything that was taken in."""
        return {"accuracy": self.accuracy, "since": self.since, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        self.accuracy, self.since = state["accuracy"], state["since"]
        parameters = dict(self.container.named_parameters())
        self.weights = {
            name: torch.empty_like(parameters[name]).copy_(value)
            for name, value in state["weights"].items()
        }
