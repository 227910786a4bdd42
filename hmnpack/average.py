"""The mean of a container's weights over the last steps of a stage.

Statistics of norms are no weights: they are frozen by then, and one function maps weights to
images, so that the mean needs none of its own. Ranks hold the current rows of their own classes
alone, and likewise the mean of them; what is collected is that of all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.ranks import World


class WeightAverage:
    """A running mean, which leaves the container alone until it is asked for.

    Args:
        container: On its device; its parameters keep their identity.
        part: Part of the steps that is averaged over, the last one, from 0 (none) to 1.
        steps: Steps of the stage.
        world: The ranks that share the classes.
    """

    def __init__(self, container: Container, part: float, steps: int, world: World) -> None:
        self.container = container
        self.world = world
        self.count = max(1, round(part * steps)) if part else 0
        """Steps that are averaged over."""
        self.before = steps - self.count
        """Steps before them."""
        self.mean: dict[str, Tensor] = {}
        """Parameter name -> mean so far; empty before the first of those steps."""

    @torch.no_grad()
    def add(self, done: int) -> None:
        """Take in the weights that there are after so many steps of the stage."""
        number = done - self.before
        if not self.count or number < 1:
            return
        for name, parameter in self.container.named_parameters():
            if number == 1:
                self.mean[name] = parameter.detach().clone()
            else:
                self.mean[name].lerp_(parameter, 1 / number)

    @torch.no_grad()
    def collect(self) -> None:
        """Give every rank the mean of all classes' rows; every rank calls this together."""
        rows = [mean for name, mean in self.mean.items() if name in self.container.by_class]
        self.world.collect(rows, self.container.spec.classes)

    def state(self) -> dict[str, Tensor]:
        """Return the mean so far, of all rows; every rank calls this together."""
        self.collect()
        return {name: mean.clone() for name, mean in self.mean.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state` gave."""
        parameters = dict(self.container.named_parameters())
        self.mean = {
            name: torch.empty_like(parameters[name]).copy_(mean) for name, mean in state.items()
        }

    def take(self) -> None:
        """Give the container the mean for good, if there is one; on every rank, as collected."""
        self.container.set_values(self.mean)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Give the container the mean, as :meth:`take` does, until the block ends."""
        if not self.mean:
            yield
            return
        before = self.container.copied()
        try:
            self.take()
            yield
        finally:
            self.container.set_values(before)
