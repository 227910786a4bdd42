"""Independent trainings, each with a small tensor as result: distributed, batched and cached."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hmnpack.runtime.kept import Entry, Store
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.training import at_once_on, groups_of, within_memory

_KIND = "prune-3"
"""Version of an entry; increase it when training or the content of an entry changes."""

Training = Callable[[Sequence[str], Listener], Tensor]
"""Runs the named trainings as one batch and returns their results, one row per training. The
listener is called with the epochs done and the total, both summed over these trainings."""


@dataclass(frozen=True)
class Trainings:
    """How trainings are run, and the results of finished ones.

    Attributes:
        world: The ranks; each runs some of the trainings, and all receive every result.
        done: Results by name of the training, on the CPU. Trainings in it are not run again, so a
            caller that stores it can stop after any training and resume later.
        check: Called by every rank after each batch of trainings; it may raise to stop.
        listener: Called after every epoch.
        at_once: Number of trainings that each rank runs as one batch, 1 or more, if memory allows;
            None: the device's default.
        entry: Returns the cache entry of a training by its name, see :meth:`cached_in`; None:
            nothing is cached.
    """

    world: World = ALONE
    done: MutableMapping[str, Tensor] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    listener: Listener = no_progress
    at_once: int | None = None
    entry: Callable[[str], Entry] | None = None

    def cached_in(self, folder: Path, *facts: object) -> "Trainings":
        """Return the same trainings with a cache in a work directory, whose results are reused.

        Args:
            folder: The work directory; only the leader reads and writes it.
            facts: Strings, numbers and tensors that determine the results.

        Raises:
            BadSettings: if the directory cannot be written.
        """
        store = Store(folder)
        with self.world.leader_first():
            if self.world.rank == 0:
                store.check_writable()
        return replace(self, entry=partial(store.entry, _KIND, *facts))

    def run(
        self,
        stage: str,
        names: Sequence[str],
        train: Training,
        like: Tensor,
        device: torch.device,
    ) -> dict[str, Tensor]:
        """Run the trainings that are not finished yet.

        Args:
            stage: Stage that the listener is called with.
            names: Unique names of the trainings, the same on every rank.
            train: Runs some trainings as one batch.
            like: A tensor with the shape and type of one result, on the device that the ranks
                communicate from.
            device: Device to train on.

        Returns:
            The result of every training, on the CPU.

        Raises:
            BadSettings: if a result cannot be cached.
        """
        self.done.update(self._cached([name for name in names if name not in self.done]))
        pending = [name for name in names if name not in self.done]
        most = at_once_on(device, self.at_once)
        before = len(names) - len(pending)
        for together in groups_of(pending, most * self.world.size):
            found = like.new_zeros(len(together), *like.shape)
            own = together[self.world.rank :: self.world.size]
            if own:
                progress = _Progress(self.listener, stage, before, len(together), len(names))
                rows = within_memory(own, partial(_rows, train, own, progress))
                found[self.world.rank :: self.world.size] = torch.stack(rows)
            self.world.wait()  # exchanging tensors would time out where a rank waits for hours
            self.world.add([found])  # only one rank's term of each row is not 0
            self._finish(dict(zip(together, found.cpu(), strict=True)))
            before += len(together)
            self.check()
        return {name: self.done[name] for name in names}

    def _cached(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Return the cached results of the leader for some trainings."""
        if self.entry is None:
            return {}
        entries = {name: self.entry(name) for name in names if self.world.rank == 0}
        values = {name: entry.value() for name, entry in entries.items()}
        return self.world.of_leader(
            {name: value["numbers"] for name, value in values.items() if value is not None}
        )

    def _finish(self, found: dict[str, Tensor]) -> None:
        """Store the results of finished trainings; the leader also caches them."""
        self.done.update(found)
        if self.entry is not None and self.world.rank == 0:
            for name, numbers in found.items():
                self.entry(name).finish({"numbers": numbers.clone()})


@dataclass(frozen=True)
class _Progress:
    """Reports the epochs of some trainings as part of the epochs of all: they are one stage.

    Attributes:
        listener: Called after every epoch.
        stage: The stage.
        before: Number of trainings finished before.
        together: Number of trainings that the ranks run now, at the same pace.
        count: Number of all trainings.
    """

    listener: Listener
    stage: str
    before: int
    together: int
    count: int

    def of(self, first: int, some: int, own: int) -> Listener:
        """Return a listener for ``some`` of the rank's ``own`` trainings, from number ``first``."""
        before = self.before + self.together * first // own
        together = self.together * some // own

        def report(stage: str, done: int, total: int, **facts: float) -> None:
            epochs = total // some
            now = before * epochs + together * done // some
            self.listener(self.stage, now, self.count * epochs, **facts)

        return report


def _rows(
    train: Training, own: Sequence[str], progress: _Progress, part: Sequence[str]
) -> Sequence[Tensor]:
    """Run a part of a rank's own trainings; return their results."""
    listener = progress.of(own.index(part[0]), len(part), len(own))
    return train(part, listener).unbind()
