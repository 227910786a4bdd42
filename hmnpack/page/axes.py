"""Axes: which numbers stand along one, and where on it a value lies. Pure arithmetic."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WIDE = 30.0
"""Positive values whose greatest is so many times the least are set on a logarithmic axis."""

_LEAST = 1e-30
"""Difference up to which values are taken for one: a file may hold the least float there is."""


@dataclass(frozen=True)
class Axis:
    """A range of values with marks.

    Attributes:
        low: First value.
        high: Last value, greater.
        ticks: Values that are marked, between the two.
        logarithmic: Whether equal ratios, not equal differences, are equally far apart.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies: 0 at the beginning, 1 at the end."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


def axis_around(values: Iterable[float], marks: int = 5) -> Axis:
    """Return an axis that begins and ends at a mark and holds all values.

    Args:
        values: One or more, of a size from 1e-30 to 1e30, or 0. Far apart and all positive, they
            get a logarithmic axis.
        marks: About how many marks.
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
    """Return an axis of exactly this range; its marks are round numbers within it.

    Args:
        low: First value.
        high: Last value, not less; where it is the same, the axis is 1 long.
        marks: About how many marks.
    """
    if high - low <= _LEAST:
        high = low + 1
    step = _step((high - low) / marks)
    ticks = _multiples(step, math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9))
    return Axis(low, high, ticks)


def _multiples(step: float, first: int, last: int) -> tuple[float, ...]:
    return tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))


def _step(rough: float) -> float:
    """Return a round number near a rough one: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * 0.999)


def _logarithmic(low: float, high: float) -> Axis:
    begin, end = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    every = max(1, math.ceil((end - begin) / 6))
    powers = [*range(begin, end, every), end]
    return Axis(10.0**begin, 10.0**end, tuple(10.0**power for power in powers), True)
