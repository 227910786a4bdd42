"""The processes of one run: alone, or several under ``torchrun``, each with a share of the classes.

Every rank holds the whole container and the same network. It decodes and matches its own classes;
gradients of what all classes share are added up over the ranks, and rows that belong to classes
are collected when a checkpoint or the bundle is written, which rank 0 does.

Ranks talk in two groups. Tensors go through the first, by NCCL where they are on accelerators.
Flags and waiting go through the second, by Gloo from processor to processor: no accelerator is
waited for, a rank that has ended is noticed at once, and rank 0 may take hours over the data.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hmnpack.errors import BadSettings, HmnError, RankLost, is_out_of_memory

Value = TypeVar("Value")

_STEP = timedelta(minutes=30)
"""How far apart in time ranks may come to the same step."""

_LEADER = timedelta(days=7)
"""How long ranks wait for rank 0, which may open a dataset or train a pool meanwhile."""


@dataclass(frozen=True)
class World:
    """Which of how many processes this is; all that it does is nothing where it is alone.

    Every method but :meth:`share` is called by all ranks, in the same order.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        control: The group for flags and for waiting.
    """

    rank: int = 0
    size: int = 1
    control: "dist.ProcessGroup | None" = field(default=None, repr=False, compare=False)

    def share(self, count: int) -> range:
        """Return this rank's part of ``count`` classes: as even as can be, in order."""
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Add each tensor up over the ranks, in place, in as few messages as there are dtypes.

        Raises:
            RankLost: if another rank has ended; so does every method that sends something.
        """
        for same in _by_dtype(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.all_reduce(flat)
            _spread(flat, same)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by rank 0's, in place."""
        for same in _by_dtype(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.broadcast(flat, 0)
            _spread(flat, same)

    @torch.no_grad()
    def collect(self, tensors: Iterable[Tensor], count: int) -> None:
        """Replace, in place, the rows of other ranks' classes by what those ranks hold.

        Args:
            tensors: The rows of each belong to classes, the same number to each, class by class.
            count: Number of classes K.
        """
        if self.size == 1:
            return
        tensors, own = list(tensors), self.share(count)
        for rows in tensors:
            by_class = rows.unflatten(0, (count, -1))
            by_class[: own.start] = 0
            by_class[own.stop :] = 0
        self.add(tensors)  # one of the terms is not zero, so the sum is exact

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return of each flag whether it is true on some rank."""
        if self.size == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)
        with _others_alive():
            dist.all_reduce(counts, group=self.control)
        return tuple(count > 0 for count in counts.tolist())

    def of_leader(self, value: Value) -> Value:
        """Return the value that rank 0 has: anything that can be pickled, and is small."""
        if self.size == 1:
            return value
        values = [value]
        with _others_alive():
            dist.broadcast_object_list(values, 0, self.control, torch.device("cpu"))
        return values[0]

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let rank 0 through the block, then the others: they find in caches what it made.

        An error of ours that rank 0 meets there, such as bad data, every rank raises. All leave
        the block together, for one that does not share the cache makes everything again there.
        """
        if self.rank != 0:
            met = self._error_of_leader(None)
            if met is not None:
                raise met
            yield
        else:
            try:
                yield
            except HmnError as error:
                self._error_of_leader(error)
                raise
            self._error_of_leader(None)
        self.wait()

    def wait(self) -> None:
        """Wait until every rank is here."""
        self.any(False)

    def _error_of_leader(self, error: HmnError | None) -> HmnError | None:
        return self.of_leader(error)


ALONE = World()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the other ranks, if ``torchrun`` started this process; leave them when the block ends.

    Inside such a block, and in a program that has joined its processes by itself, those are the
    ranks.

    Args:
        device: Where this rank computes; its type decides how ranks talk (NCCL or Gloo).

    Raises:
        BadSettings: if the other ranks cannot be reached, or the device cannot talk to others.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    has_joined = dist.is_available() and dist.is_initialized()
    if size == 1 and not has_joined:
        yield ALONE
        return
    with contextlib.ExitStack() as groups:
        if not has_joined:
            groups.enter_context(_tensor_group(device, size))
        control = dist.new_group(timeout=_LEADER, backend="gloo")
        assert isinstance(control, dist.ProcessGroup)  # noqa: S101 - of all ranks, so of this one
        groups.callback(dist.destroy_process_group, control)
        yield World(dist.get_rank(), dist.get_world_size(), control)


@contextlib.contextmanager
def _tensor_group(device: torch.device, size: int) -> Iterator[None]:
    if device.type not in ("cpu", "cuda"):
        raise BadSettings(f"{size} ranks cannot share their work on {device.type}; try cpu")
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_STEP)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadSettings(f"WORLD_SIZE is {size}, but the ranks cannot meet: {reason}") from error
    try:
        yield
    except BaseException:
        # Messages that no other rank will answer any more are not waited for.
        if dist.group.WORLD is not None:
            dist.group.WORLD.abort()
        raise
    finally:
        dist.destroy_process_group()


def _by_dtype(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault(tensor.dtype, []).append(tensor)
    return list(kinds.values())


@torch.no_grad()
def _spread(flat: Tensor, tensors: list[Tensor]) -> None:
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))


@contextlib.contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise RankLost(
            "another rank ended or cannot be reached (its own message, if any, says why); "
            "the last checkpoint is whole: repeat the command with --resume"
        ) from error
