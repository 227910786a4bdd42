"""Independent trainings, each of which gives some numbers: shared by ranks, none of them twice."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from hmnpack.ranks import ALONE, World
from hmnpack.runtime import Listener, silent

Training = Callable[[str, Listener], Tensor]
"""Does the training of that name, tells the listener of its epochs, and returns its numbers."""


@dataclass(frozen=True)
class Trainings:
    """How trainings are run, and what those that are done have given.

    Attributes:
        world: The ranks; each takes some of the trainings, all get the numbers of all.
        done: Numbers by the name of the training, on the CPU. What is there is not trained again,
            so that whoever keeps it can stop after any training and go on.
        check: Called by every rank after each training; it may raise to stop.
        listener: Hears of every epoch.
    """

    world: World = ALONE
    done: MutableMapping[str, Tensor] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    listener: Listener = silent

    def run(
        self,
        stage: str,
        names: Sequence[str],
        train: Training,
        like: Tensor,
    ) -> dict[str, Tensor]:
        """Do those of the trainings that are not done.

        Args:
            stage: What the listener is told.
            names: Of the trainings; no two alike, and the same on every rank.
            train: Does one.
            like: Has the shape and type of its numbers, and the device that ranks talk from.

        Returns:
            The numbers of every training, on the CPU.
        """
        pending = [name for name in names if name not in self.done]
        for start in range(0, len(pending), self.world.size):
            together = pending[start : start + self.world.size]
            found = like.new_zeros(len(together), *like.shape)
            if self.world.rank < len(together):
                before = len(names) - len(pending) + start
                heard = self._listener(stage, before, len(together), len(names))
                found[self.world.rank] = train(together[self.world.rank], heard)
            self.world.add([found])  # of each row, all terms but one are 0
            self.done.update(zip(together, found.cpu(), strict=True))
            self.check()
        return {name: self.done[name] for name in names}

    def _listener(self, whole: str, before: int, together: int, count: int) -> Listener:
        """Return a listener for one of the trainings that ranks do at a time, of all of them."""

        def heard(stage: str, done: int, total: int, **facts: float) -> None:
            del stage  # the training's own name; all of them are one stage
            self.listener(whole, before * total + together * done, count * total, **facts)

        return heard
