"""How fast a device multiplies matrices: the yardstick for what a run will take."""

import time
from collections.abc import Iterable

import torch

from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision

_SIDES = {"cpu": 1024, "cuda": 8192}
_SIDE = 2048
"""Side of the matrices on other devices; all large enough to keep the device busy."""


def measured_rates(
    device: torch.device, precisions: Iterable[Precision], seconds: float = 0.2
) -> dict[Precision, float]:
    """Return the rate of matrix products at each precision, in operations per second.

    Args:
        device: Where.
        precisions: Which; those that are the same there are measured once.
        seconds: Time that each measurement takes, about.
    """
    found: dict[torch.dtype, float] = {}
    rates: dict[Precision, float] = {}
    for precision in precisions:
        dtype = _dtype(device, precision)
        if dtype not in found:
            found[dtype] = measured_rate(device, dtype, seconds)
        rates[precision] = found[dtype]
    return rates


def measured_rate(
    device: torch.device, dtype: torch.dtype = torch.float32, seconds: float = 0.2
) -> float:
    """Return operations per second of a large matrix product: the best of several, two a term.

    Args:
        device: Where.
        dtype: Type of the numbers.
        seconds: Time to measure for, about; at least one product is measured, after one that
            is not.
    """
    side = _SIDES.get(device.type, _SIDE)
    matrix = torch.full((side, side), 0.5, dtype=dtype, device=device)
    _product_seconds(matrix)
    end = time.monotonic() + seconds
    best = _product_seconds(matrix)
    while time.monotonic() < end:
        best = min(best, _product_seconds(matrix))
    return 2 * side**3 / best


def _product_seconds(matrix: torch.Tensor) -> float:
    begun = time.perf_counter()
    product = matrix @ matrix
    float(product[0, 0])  # waits for the device
    return time.perf_counter() - begun


def _dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Return what networks compute in there."""
    with autocast(device, precision):
        reduced = torch.is_autocast_enabled(device.type)
    return torch.bfloat16 if reduced else torch.float32
