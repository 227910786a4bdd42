"""Devices and precision: which there are, what they have left, what they are good at."""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from hmnpack.errors import BadSettings
from hmnpack.schema.config import Precision

P = ParamSpec("P")
R = TypeVar("R")

_PART_OF_FREE_MEMORY = 0.8


def default_on_cpu(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function take the CPU where it names no device, whatever torch's default is now.

    Random numbers are drawn by generators of the CPU: after a program's own
    ``torch.set_default_device("cuda")`` torch would refuse every one of them.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.get_default_device().type == "cpu":
            return function(*args, **kwargs)
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return called


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given; a CPU has by then."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    if device.type == "mps":
        torch.mps.synchronize()


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is an accelerator, else the CPU.

    Under ``torchrun`` each process of a machine takes an accelerator of its own (``LOCAL_RANK``)
    for ``auto`` and ``cuda``.

    Args:
        name: As torch calls it, or ``auto``; or torch's own object.

    Raises:
        BadSettings: if there is no such device here, or it is one for several processes.
    """
    name = str(name)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return _own_accelerator()
    if name == "auto":
        return torch.device("cpu")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if name.startswith("cuda:") and processes > 1:
        raise BadSettings(
            f"{name} is one device for {processes} processes; --device cuda gives each its own"
        )
    return usable_device(name)


def usable_device(name: str | torch.device) -> torch.device:
    """Return the device of that name, whichever processes there are.

    Raises:
        BadSettings: if there is no such device here.
    """
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it computes nothing")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0][:200]
        raise BadSettings(f"device {str(name)!r} cannot be used ({reason}); try cpu") from error
    return device


def to_device(numbers: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return a few numbers of the CPU on a device, as a rule without waiting for what it is doing.

    Copies to CUDA devices come in turn there. From memory that is not pinned they are read before
    the call returns, so that the numbers may be changed or freed then.
    """
    place = torch.device(device)
    return numbers.to(place, non_blocking=place.type == "cuda")


def free_memory(device: torch.device) -> int | None:
    """Return what a run may take of an accelerator's free memory, in bytes; None if unknown.

    What torch holds of it, but does not use, is free.
    """
    if device.type == "cuda" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    else:
        return None
    return max(0, int(free * _PART_OF_FREE_MEMORY))


def _own_accelerator() -> torch.device:
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise BadSettings(
            f"this machine has {count} accelerators, none for its process {index + 1}; start at "
            f"most {count} on each machine, or use --device cpu"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is native there; where it is emulated it is far slower."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return _processor_multiplies_bfloat16()
    return False


def _processor_multiplies_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))
    # Before torch 2.11 only these tell, which are no part of its interface.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def kind_of(device: torch.device) -> str:
    """Return what numbers depend on beside the settings: for the names of what is kept.

    That is the device's type, and whether precision ``auto`` is bfloat16 there.
    """
    return f"{device.type} bfloat16" if multiplies_bfloat16(device) else device.type


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which networks run at that precision.

    Weights that were cast are not kept: within a caller's own autocast they would be for ever, and
    training would go on with the first ones.
    """
    low = low_precision(device, precision)
    return torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False)


def low_precision(device: torch.device, precision: Precision) -> bool:
    """Return whether networks run in bfloat16 there, at that precision."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
