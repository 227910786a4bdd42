"""Matrix multiplication throughput of a device, on which time estimates are based."""

import time
from collections.abc import Iterable

import torch

from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision

_SIDES = {"cpu": 1024, "cuda": 8192}
_SIDE = 2048
"""Side of the matrices on other devices. All sides are large enough to keep the device busy."""


def measured_rates(
    device: torch.device, precisions: Iterable[Precision], seconds: float = 0.2
) -> dict[Precision, float]:
    """Return the rate of matrix products at each precision, in operations per second.

    Args:
        device: Device to measure.
        precisions: Precisions to measure; those that use the same dtype are measured once.
        seconds: Approximate duration of each measurement.
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
    """Return the best rate of several large matrix products, in operations per second.

    A multiply-add counts as two operations.

    Args:
        device: Device to measure.
        dtype: Type of the elements.
        seconds: Approximate duration; at least one product is timed, after one as a warm-up.
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
    float(product[0, 0])  # synchronises with the device
    return time.perf_counter() - begun


def _dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Return the dtype that networks compute in on a device."""
    with autocast(device, precision):
        reduced = torch.is_autocast_enabled(device.type)
    return torch.bfloat16 if reduced else torch.float32
