"""The interface of objectives: inputs, the loss of a step, and the state in a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from hmnpack.container import Container
from hmnpack.matching.data import RealData
from hmnpack.matching.pool import Pool
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import ALONE, World

Config = TypeVar("Config")


@dataclass(frozen=True)
class Match(Generic[Config]):
    """Inputs of a matching objective.

    Attributes:
        data: The real images.
        pool: Networks for feature matching; None for gradient matching, which creates its own.
        config: The objective's settings.
        seed: Seed of the run.
        world: The ranks that share the classes.
        max_memory: Memory limit for one chunk of classes plus the view cache, in bytes;
            None: unlimited.
        check: Called on every rank after each epoch of a network that is trained before its first
            step; it may raise to pause.
        cache: The cache folder, for networks that are trained once and for temporary files; None:
            nothing is cached, and temporary files are in the system's folder.
        listener: Called with the progress of trainings that precede the first step.
    """

    data: RealData
    pool: Pool | None
    config: Config
    seed: int
    world: World = ALONE
    max_memory: int | None = None
    check: Callable[[], None] = lambda: None
    cache: Path | None = None
    listener: Listener = no_progress


class Objective(ABC):
    """A loss that a container is fitted to. The randomness of a step depends on its index only."""

    is_shared: ClassVar[bool] = True
    """Whether each rank computes the loss of its own classes only, rather than that of all."""

    @abstractmethod
    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of a step; an optimiser step follows.

        Args:
            container: Decodes the synthetic images; gradients flow to its parameters.
            step: Index of the step; with the seed it determines every random number.
        """

    def figures(self) -> dict[str, float]:
        """Return values to report beside the loss, such as a rate that is learned."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the state that the next step needs besides the container, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027 - most have no state
        """Restore what :meth:`state` returned."""
