"""Devices: selection, free memory, and the precision that they support."""

import os

import torch

from hmnpack.errors import BadSettings
from hmnpack.schema.config import Precision

_USABLE_FRACTION = 0.8
"""Fraction of an accelerator's free memory that a run may take."""


def wait_for(device: torch.device) -> None:
    """Block until all queued work on the device is done; a no-op on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    if device.type == "mps":
        torch.mps.synchronize()


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is CUDA if available, else the CPU.

    Under ``torchrun``, ``auto`` and ``cuda`` give each process of a machine its own accelerator
    (by ``LOCAL_RANK``).

    Args:
        name: A torch device name, ``auto``, or a torch device.

    Raises:
        BadSettings: if the device is not available, or several processes would share it.
    """
    name = str(name)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return _own_accelerator()
    if name == "auto":
        return torch.device("cpu")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if name.startswith("cuda:") and processes > 1:
        raise BadSettings(
            f"{processes} processes would share {name}; use --device cuda to give each its own"
        )
    return usable_device(name)


def usable_device(name: str | torch.device) -> torch.device:
    """Return the device of that name, regardless of other processes.

    Raises:
        BadSettings: if the device is not available.
    """
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it does not compute")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0][:200]
        raise BadSettings(f"device {str(name)!r} cannot be used ({reason}); try cpu") from error
    return device


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Copy a small CPU tensor to ``device``, asynchronously on CUDA.

    The copy is ordered on the current CUDA stream. Unpinned memory is read before the call
    returns, so it may be changed or freed at once.
    """
    place = torch.device(device)
    return tensor.to(place, non_blocking=place.type == "cuda")


def free_memory(device: torch.device) -> int | None:
    """Return how much of an accelerator's free memory a run may take, in bytes; None if unknown.

    Memory that torch's allocator has reserved but does not use counts as free.
    """
    if device.type == "cuda" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    else:
        return None
    return max(0, int(free * _USABLE_FRACTION))


def _own_accelerator() -> torch.device:
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise BadSettings(
            f"this machine has {count} accelerators, none for its process {index + 1}; start at "
            f"most {count} processes on each machine, or use --device cpu"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 natively; emulation is far slower."""
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
    # Before torch 2.11 only these private functions report it.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def kind_of(device: torch.device) -> str:
    """Return the part of a device that affects results, for use in cache keys.

    That is the device's type, and whether precision ``auto`` means bfloat16 there.
    """
    return f"{device.type} bfloat16" if multiplies_bfloat16(device) else device.type


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the autocast context for running networks at a precision.

    Autocast's weight cache is disabled: inside a caller's own autocast it would never be cleared,
    and training would continue with stale weights.
    """
    low = low_precision(device, precision)
    return torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False)


def low_precision(device: torch.device, precision: Precision) -> bool:
    """Return whether networks run in bfloat16 on the device at this precision."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
