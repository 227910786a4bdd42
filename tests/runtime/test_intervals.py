"""Intervals between saved states."""

import pytest

from hmnpack.runtime import intervals
from hmnpack.runtime.intervals import Intervals


@pytest.fixture
def due_at(monkeypatch):
    """Return a function: the seconds at which a state is due, of those at which it is asked."""

    def due_at(longest, seconds):
        now = [100.0]
        monkeypatch.setattr(intervals.time, "monotonic", lambda: now[0])
        asked = Intervals(longest)
        found = []
        for second in seconds:
            now[0] = 100.0 + second
            if asked.due():
                found.append(second)
        return found

    return due_at


def test_intervals_grow_to_the_longest(due_at):
    assert due_at(20.0, range(100)) == [1, 3, 7, 15, 31, 51, 71, 91]


def test_short_interval_is_kept_from_the_start(due_at):
    assert due_at(0.5, [0.4, 0.5, 0.9, 1.0, 1.6]) == [0.5, 1.0, 1.6]


def test_no_interval_is_always_due(due_at):
    assert due_at(0.0, [0, 0, 3]) == [0, 0, 3]
