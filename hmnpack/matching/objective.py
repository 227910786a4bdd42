"""What every objective has: its inputs, the loss of a step, and the state of a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from hmnpack.container import Container
from hmnpack.matching.data import RealData
from hmnpack.matching.pool import Pool
from hmnpack.runtime.ranks import ALONE, World

Config = TypeVar("Config")


@dataclass(frozen=True)
class Match(Generic[Config]):
    """What a matching objective is made from.

    Attributes:
        data: The real images.
        pool: Networks to match through; None for gradient matching, which makes its own.
        config: The objective's settings.
        seed: Seed of the run.
        world: The ranks that share the classes.
        max_memory: Bytes that one chunk of classes, and what is kept of views, may take;
            None: no bound.
        check: Called by every rank after each epoch of a network that is trained before its first
            step; it may raise to stop there.
    """

    data: RealData
    pool: Pool | None
    config: Config
    seed: int
    world: World = ALONE
    max_memory: int | None = None
    check: Callable[[], None] = lambda: None


class Objective(ABC):
    """The loss of a container at a step. All randomness of a step is seeded by its number."""

    is_shared: ClassVar[bool] = True
    """Whether each rank computes the loss of its own classes; otherwise every rank that of all."""

    @abstractmethod
    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of a step; an optimiser step follows.

        Args:
            container: Decodes the synthetic images; the loss's gradients flow to it.
            step: Decides every random number, together with the seed.
        """

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on besides the container: tensors and numbers."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027 - most have no state
        """Restore what :meth:`state` returned."""
