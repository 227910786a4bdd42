"""Axes of charts: tick values, and the position of a value. Pure arithmetic."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WIDE = 30.0
"""Ratio of maximum to minimum above which positive values get a logarithmic axis."""

_LEAST = 1e-30
"""Differences up to this are treated as zero; a file may contain the smallest floats."""


@dataclass(frozen=True)
class Axis:
    """A range of values with ticks.

    Attributes:
        low: Lower end.
        high: Upper end, greater than ``low``.
        ticks: Tick values, from ``low`` to ``high``.
        logarithmic: Whether the scale is logarithmic.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value: 0 at ``low``, 1 at ``high``."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


def axis_around(values: Iterable[float], marks: int = 5) -> Axis:
    """Return an axis that contains all values and starts and ends at a tick.

    Args:
        values: One or more values, each 0 or of magnitude 1e-30 to 1e30. Positive values with a
            large ratio get a logarithmic axis.
        marks: Approximate number of ticks.
    """
    found = list(values)
    low, high = min(found), max(found)
    if low > 0 and high / low > _WIDE:
        return _logarithmic(low, high)
    greatest = max(abs(low), abs(high))
    if high - low <= max(greatest * 1e-9, _LEAST):
        around = greatest * 0.05 or 1.0
        low, high = low - around, high + around
    step = _step((high - low) / marks)
    ticks = _multiples(step, math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9))
    return Axis(ticks[0], ticks[-1], ticks)


def axis_from(low: float, high: float, marks: int = 5) -> Axis:
    """Return an axis of exactly the given range; its ticks are round numbers.

    Args:
        low: Lower end.
        high: Upper end, at least ``low``; if they are equal, the axis has length 1.
        marks: Approximate number of ticks.
    """
    if high - low <= _LEAST:
        high = low + 1
    step = _step((high - low) / marks)
    ticks = _multiples(step, math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9))
    return Axis(low, high, ticks)


def _multiples(step: float, first: int, last: int) -> tuple[float, ...]:
    return tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))


def _step(rough: float) -> float:
    """Return the next round number from ``rough``: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * 0.999)


def _logarithmic(low: float, high: float) -> Axis:
    begin, end = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    every = max(1, math.ceil((end - begin) / 6))
    powers = [*range(begin, end, every), end]
    return Axis(10.0**begin, 10.0**end, tuple(10.0**power for power in powers), True)
