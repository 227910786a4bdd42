"""Intervals between saved states."""

import math

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
    assert due_at(20.0, range(100)) == [1, 2, 4, 7, 13, 24, 44, 64, 84]
    assert due_at(60.0, range(200)) == [1, 3, 7, 15, 31, 63, 123, 183]


def test_no_interval_is_always_due(due_at):
    assert due_at(0.0, [0, 0, 3]) == [0, 0, 3]


def test_infinite_interval_is_never_due(due_at):
    assert due_at(math.inf, [0, 1e9]) == []
