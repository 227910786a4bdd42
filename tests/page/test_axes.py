"""Axes: round ticks, and positions of values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnpack.page.axes import axis_around, axis_from

SIZES = st.floats(-1e30, 1e30).map(lambda x: x if abs(x) > 1e-30 else 0.0)


def test_axis_starts_and_ends_at_round_numbers():
    assert axis_around([56.9, 59.2], 4).ticks == (56, 57, 58, 59, 60)
    assert axis_around([0.0, 8.0], 4).ticks == (0, 2, 4, 6, 8)
    assert axis_around([-0.3, 0.11], 4).ticks == (-0.4, -0.2, 0, 0.2)


def test_axis_with_exact_ends():
    axis = axis_from(0.0, 797.0, 5)
    assert (axis.low, axis.high, axis.ticks) == (0, 797, (0, 200, 400, 600))
    assert axis_from(0.0, 1.0, 10).ticks == tuple(round(n / 10, 1) for n in range(11))
    assert axis_from(3.0, 3.0).high == 4.0


def test_smallest_float_is_treated_as_zero():
    axis = axis_around([0.0, 5e-324])
    assert (axis.low, axis.high) == (-1, 1)
    assert axis_from(0.0, 5e-324).high == 1.0


def test_values_with_a_large_ratio_get_a_logarithmic_axis():
    axis = axis_around([1.5, 61.0])
    assert axis.logarithmic
    assert axis.ticks == (1, 10, 100)
    assert axis.at(10) == pytest.approx(0.5)
    assert not axis_around([0.0, 61.0]).logarithmic
    assert not axis_around([3.0, 61.0]).logarithmic
    assert len(axis_around([1e-20, 1e20]).ticks) <= 9


def test_positions_are_from_0_to_1():
    axis = axis_from(-50.0, 150.0)
    assert [axis.at(value) for value in (-50, 0, 150)] == [0, 0.25, 1]


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(SIZES, min_size=1, max_size=5), st.integers(1, 10))
@pytest.mark.slow
def test_every_value_has_a_position(values, marks):
    axis = axis_around(values, marks)
    assert all(-1e-6 <= axis.at(value) <= 1 + 1e-6 for value in values)
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert 2 <= len(axis.ticks) <= 3 * marks + 9


@settings(derandomize=True, deadline=None, database=None)
@given(st.integers(-1000, 1000), st.floats(1e-3, 1e9))
def test_ticks_are_between_exact_ends(low, length):
    axis = axis_from(float(low), low + length)
    assert (axis.low, axis.high) == (low, low + length)
    assert all(-1e-6 <= axis.at(tick) <= 1 + 1e-6 for tick in axis.ticks)
