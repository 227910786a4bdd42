"""The processes of one run: alone, or several under ``torchrun``, each with a share of the classes.

Every rank holds the whole container and the same network. It decodes and matches its own classes;
gradients of what all classes share are added up over the ranks, and rows that belong to classes
are collected when a checkpoint or the bundle is written, which rank 0 does.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from hmnpack.errors import BadSettings, RankLost

_PATIENCE = timedelta(hours=6)
"""How long a rank waits for another: opening a data set and training a pool may take rank 0 so."""


@dataclass(frozen=True)
class World:
    """Which of how many processes this is; all that it does is nothing where it is alone.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> range:
        """Return this rank's part of ``count`` classes: as even as can be, in order."""
        return self._share_of(self.rank, count)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Add each tensor up over the ranks, in place, in as few messages as there are dtypes."""
        if self.size == 1:
            return
        for same in _by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.all_reduce(flat)
            _spread(flat, same)

    def copy(self, tensors: Iterable[Tensor], source: int = 0) -> None:
        """Replace each tensor by that of another rank, in place."""
        if self.size == 1:
            return
        for same in _by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.broadcast(flat, source)
            _spread(flat, same)

    def collect(self, rows: Tensor, count: int) -> None:
        """Replace, in place, the rows of other ranks' classes by what those ranks hold.

        Args:
            rows: Its rows belong to classes, the same number to each, class by class.
            count: Number of classes K.
        """
        each = len(rows) // count
        for source in range(self.size if self.size > 1 else 0):
            classes = self._share_of(source, count)
            part = rows[classes.start * each : classes.stop * each]
            if len(part):
                self.copy([part], source)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true on some rank."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=_device())
        with _others_alive():
            dist.all_reduce(flags)
        return bool(flags.item())

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let rank 0 through the block, then the others: they find in caches what it made."""
        if self.rank != 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            with _others_alive():
                dist.all_reduce(torch.zeros(1, device=_device()))

    def _share_of(self, rank: int, count: int) -> range:
        return range(rank * count // self.size, (rank + 1) * count // self.size)


ALONE = World()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the other ranks, if ``torchrun`` started this process; leave them when the block ends.

    Args:
        device: Where this rank computes; its type decides how ranks talk (NCCL or Gloo).

    Raises:
        BadSettings: if the other ranks cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ALONE
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadSettings(f"WORLD_SIZE is {size}, but the ranks cannot meet: {reason}") from error
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _by_kind(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
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
        raise RankLost(
            "another rank ended or cannot be reached; its own message says why; the last "
            "checkpoint is whole: repeat the command with --resume"
        ) from error
