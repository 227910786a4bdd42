"""Quantiles of Student's t, against tables, closed forms and another implementation."""

import math

import pytest

from hmnpack.evaluation.student import t_quantile

FREEDOMS = (1, 2, 3, 4, 5, 10, 33, 100, 999, 1998)


@pytest.mark.parametrize(
    ("probability", "freedom", "table"),
    [
        (0.95, 1, 6.314),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.995, 4, 4.604),
        (0.995, 10, 3.169),
        (0.975, 30, 2.042),
        (0.995, 120, 2.617),
    ],
)
def test_quantiles_against_printed_tables(probability, freedom, table):
    assert t_quantile(probability, freedom) == pytest.approx(table, abs=6e-4)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.6, 0.995])
def test_quantiles_against_closed_forms(probability):
    """The Cauchy distribution, and two degrees of freedom."""
    odds = (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    assert t_quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)))
    assert t_quantile(probability, 2) == pytest.approx(odds)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_quantiles_against_another_implementation(freedom):
    reference = pytest.importorskip("scipy.stats").t
    for probability in (0.001, 0.005, 0.3, 0.6, 0.975, 0.995, 0.999):
        expected = reference.ppf(probability, freedom)
        assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_quantiles_are_symmetric_and_increasing(freedom):
    found = [t_quantile(probability, freedom) for probability in (0.5, 0.75, 0.9, 0.99, 0.999)]
    assert found[0] == 0
    assert found == sorted(set(found))
    assert t_quantile(0.25, freedom) == -found[1]


@pytest.mark.parametrize(
    ("probability", "freedom", "message"),
    [(0, 3, "probability 0"), (1, 3, "probability 1"), (0.9, 0, "1 or more, got 0")],
)
def test_quantile_arguments_out_of_range(probability, freedom, message):
    with pytest.raises(ValueError, match=message):
        t_quantile(probability, freedom)
