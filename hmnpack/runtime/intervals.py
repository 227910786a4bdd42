"""When to save the state of unfinished work."""

import time

FIRST = 1.0
"""Seconds until the first state is due."""


class Intervals:
    """Intervals between saved states: 1, 2, 4, ... seconds, up to a limit.

    Work that ends early, in its first minute, therefore loses about half of its time at most.

    Args:
        seconds: The longest interval.
    """

    def __init__(self, seconds: float) -> None:
        self._longest = seconds
        self._wait = min(seconds, FIRST)
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether a state is due; if so, start the next interval."""
        due = time.monotonic() - self._last >= self._wait
        if due:
            self._last = time.monotonic()
            self._wait = min(self._longest, 2 * self._wait)
        return due
