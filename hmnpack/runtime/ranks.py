"""The processes of a run: one, or several under ``torchrun`` that share the classes.

Every rank holds the whole container and the same networks, and decodes and matches its own
classes. Gradients of shared parameters are summed over the ranks. Rows that belong to classes are
collected when rank 0 writes a checkpoint or the bundle.

Ranks communicate in two groups. Tensors use the first: NCCL on accelerators, Gloo on CPUs. Flags
and barriers use the second, Gloo between CPUs: they do not wait for an accelerator, they notice a
dead rank at once, and they let rank 0 spend hours on the data.
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
"""Timeout of tensor communication: how far apart ranks may reach the same step."""

_LEADER = timedelta(days=7)
"""Timeout for waiting on rank 0, which may open a dataset or train a pool meanwhile."""


@dataclass(frozen=True)
class World:
    """This process's place among the processes of a run; every method is a no-op for one process.

    All ranks must call every method except :meth:`share`, in the same order.

    Attributes:
        rank: Index of this process, from 0.
        size: Number of processes.
        control: The process group for flags and barriers.
    """

    rank: int = 0
    size: int = 1
    control: "dist.ProcessGroup | None" = field(default=None, repr=False, compare=False)

    def share(self, count: int) -> range:
        """Return this rank's contiguous share of ``count`` classes, as even as possible."""
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Sum each tensor over the ranks, in place, with one message per dtype.

        Raises:
            RankLost: if another rank has ended; this applies to every method that communicates.
        """
        for same in _by_dtype(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.all_reduce(flat)
            _spread(flat, same)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy each tensor from rank 0, in place."""
        for same in _by_dtype(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _others_alive():
                dist.broadcast(flat, 0)
            _spread(flat, same)

    @torch.no_grad()
    def collect(self, tensors: Iterable[Tensor], count: int) -> None:
        """Copy the rows of other ranks' classes from those ranks, in place.

        Args:
            tensors: Tensors whose rows are grouped by class, with equally many rows per class.
            count: Number of classes K.
        """
        if self.size == 1:
            return
        tensors, own = list(tensors), self.share(count)
        for rows in tensors:
            by_class = rows.unflatten(0, (count, -1))
            by_class[: own.start] = 0
            by_class[own.stop :] = 0
        self.add(tensors)  # only one term of each sum is nonzero, so it is exact

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether it is true on any rank."""
        if self.size == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)
        with _others_alive():
            dist.all_reduce(counts, group=self.control)
        return tuple(count > 0 for count in counts.tolist())

    def of_leader(self, value: Value) -> Value:
        """Return rank 0's value, a small picklable object."""
        if self.size == 1:
            return value
        values = [value]
        with _others_alive():
            dist.broadcast_object_list(values, 0, self.control, torch.device("cpu"))
        return values[0]

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run the block on rank 0 first, then on the others, which find its results in the cache.

        If rank 0 raises an :class:`HmnError`, such as bad data, every rank raises it. All ranks
        leave the block together, because a rank without access to the cache repeats the work.
        """
        if self.rank != 0:
            raised = self._error_of_leader(None)
            if raised is not None:
                raise raised
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
        """Block until every rank reaches this call."""
        self.any(False)

    def _error_of_leader(self, error: HmnError | None) -> HmnError | None:
        return self.of_leader(error)


ALONE = World()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Initialise distributed communication if ``torchrun`` started this process.

    Process groups are destroyed when the block ends. A default group that exists already, from an
    enclosing block or from the calling program, is used and left alone.

    Args:
        device: This rank's device; its type selects the backend (NCCL or Gloo).

    Raises:
        BadSettings: if the other ranks cannot be reached, or the device type is not supported.
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
        assert isinstance(control, dist.ProcessGroup)  # noqa: S101 - it includes every rank
        groups.callback(dist.destroy_process_group, control)
        yield World(dist.get_rank(), dist.get_world_size(), control)


@contextlib.contextmanager
def _tensor_group(device: torch.device, size: int) -> Iterator[None]:
    if device.type not in ("cpu", "cuda"):
        raise BadSettings(f"{device.type} does not support {size} ranks; use --device cpu")
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_STEP)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadSettings(
            f"WORLD_SIZE is {size}, but the ranks cannot connect ({reason}); start them with "
            "torchrun, or unset WORLD_SIZE"
        ) from error
    try:
        yield
    except BaseException:
        # Do not wait for messages that no other rank will answer.
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
            "another rank ended or is unreachable (see its own message, if any); the last "
            "checkpoint is intact: repeat the command with --resume"
        ) from error
