"""Independent trainings that each give some numbers: shared by ranks, at once, none twice."""

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
"""To be raised when training, or what is cached of it, changes."""

Training = Callable[[Sequence[str], Listener], Tensor]
"""Runs the trainings of those names side by side, and returns the numbers of each, one row a
training. Its listener hears of epochs that are done, and of all, summed over these trainings."""


@dataclass(frozen=True)
class Trainings:
    """How trainings are run, and what those that are done have given.

    Attributes:
        world: The ranks; each takes some of the trainings, all get the numbers of all.
        done: Numbers by the name of the training, on the CPU. What is there is not trained again,
            so that whoever keeps it can stop after any training and go on.
        check: Called by every rank after each training, or all that are done at once; it may raise
            to stop.
        listener: Called after every epoch.
        at_once: Trainings that each rank does at a time, 1 or more, where the memory takes so many;
            None: as many as the device takes.
        entry: Gives the cache entry of a training by its name, see :meth:`cached_in`; None: nothing
            is cached.
    """

    world: World = ALONE
    done: MutableMapping[str, Tensor] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    listener: Listener = no_progress
    at_once: int | None = None
    entry: Callable[[str], Entry] | None = None

    def cached_in(self, folder: Path, *facts: object) -> "Trainings":
        """Return the same, each cached in a work directory, so that those that are done are reused.

        Args:
            folder: The work directory; the leader's alone is read and written.
            facts: Texts, numbers and tensors that decide what the trainings give.

        Raises:
            BadSettings: if the directory cannot be written to.
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
        """Do those of the trainings that are not done.

        Args:
            stage: What the listener is told.
            names: Of the trainings; no two alike, and the same on every rank.
            train: Does some at once.
            like: Has the shape and type of the numbers of one, and the device that ranks talk from.
            device: Where networks are trained.

        Returns:
            The numbers of every training, on the CPU.

        Raises:
            BadSettings: if what a training gave cannot be cached.
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
            self.world.wait()  # sending tensors would time out where a rank waits for hours
            self.world.add([found])  # of each row, all terms but one are 0
            self._finish(dict(zip(together, found.cpu(), strict=True)))
            before += len(together)
            self.check()
        return {name: self.done[name] for name in names}

    def _cached(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Return what the leader's cache holds of some trainings."""
        if self.entry is None:
            return {}
        entries = {name: self.entry(name) for name in names if self.world.rank == 0}
        values = {name: entry.value() for name, entry in entries.items()}
        return self.world.of_leader(
            {name: value["numbers"] for name, value in values.items() if value is not None}
        )

    def _finish(self, found: dict[str, Tensor]) -> None:
        """Take the numbers of trainings that are done; the leader caches them."""
        self.done.update(found)
        if self.entry is not None and self.world.rank == 0:
            for name, numbers in found.items():
                self.entry(name).finish({"numbers": numbers.clone()})


@dataclass(frozen=True)
class _Progress:
    """Tells of the epochs of some trainings as part of all: they are one stage.

    Attributes:
        listener: Is told.
        stage: The stage.
        before: Trainings that were done before.
        together: Trainings that the ranks do now, at the same pace.
        count: All trainings.
    """

    listener: Listener
    stage: str
    before: int
    together: int
    count: int

    def of(self, first: int, some: int, own: int) -> Listener:
        """Return a listener for some of the rank's own trainings, from the first of them on."""
        before = self.before + self.together * first // own
        together = self.together * some // own

        def heard(stage: str, done: int, total: int, **facts: float) -> None:
            epochs = total // some
            now = before * epochs + together * done // some
            self.listener(self.stage, now, self.count * epochs, **facts)

        return heard


def _rows(
    train: Training, own: Sequence[str], progress: _Progress, part: Sequence[str]
) -> Sequence[Tensor]:
    """Do a part of a rank's own trainings; return the numbers of each."""
    listener = progress.of(own.index(part[0]), len(part), len(own))
    return train(part, listener).unbind()
