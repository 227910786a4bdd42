"""When to save the state of unfinished work."""

import time


class Intervals:
    """Growing intervals between saved states: a sixtieth of the longest, then twice the last.

    Work that ends early, before the longest interval, therefore loses about half of its time at
    most.

    Args:
        longest: The longest interval, in seconds; infinity: no state is ever due.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._wait = longest / 60
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether a state is due; if so, start the next interval."""
        due = time.monotonic() - self._last >= self._wait
        if due:
            self._last = time.monotonic()
            self._wait = min(self._longest, 2 * self._wait)
        return due
