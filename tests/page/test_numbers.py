"""Formatting of numbers."""

import pytest

from hmnpack.page import numbers
from hmnpack.page.numbers import MINUS, PLUS_MINUS, SPACE


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (numbers.count(30627), "30,627"),
        (numbers.count(-3), f"{MINUS}3"),
        (numbers.decimal(-0.04), "0.0"),
        (numbers.decimal(-1234.56), f"{MINUS}1,234.6"),
        (numbers.short(0.05), "0.05"),
        (numbers.short(12000.0), "12,000"),
        (numbers.short(-0.5), f"{MINUS}0.5"),
        (numbers.short(0.0), "0"),
        (numbers.short(1e-6), f"1e{MINUS}06"),
        (numbers.short(1e9), "1e+09"),
        (numbers.short(0.00025), "0.00025"),
        (numbers.short(57.702), "57.7"),
        (numbers.short(9.99996), "10"),
        (numbers.short(100.0), "100"),
        (numbers.rough(0.00123), "0.00123"),
        (numbers.rough(61.0612), "61.1"),
        (numbers.rough(0.01113), "0.0111"),
        (numbers.percent(57.68), f"57.7{SPACE}%"),
        (numbers.share(80, 30720), f"0.3{SPACE}%"),
        (numbers.share(1, 30720), f"<{SPACE}0.1{SPACE}%"),
        (numbers.share(0, 30720), f"0.0{SPACE}%"),
        (numbers.size(999), f"999{SPACE}B"),
        (numbers.size(122_508), f"122.5{SPACE}kB"),
        (numbers.size(5_980_160), f"6.0{SPACE}MB"),
        (numbers.size(7_000_000_000), f"7.0{SPACE}GB"),
        (numbers.duration(0.2), f"1{SPACE}s"),
        (numbers.duration(1980), f"33{SPACE}min"),
        (numbers.duration(54_000), f"15{SPACE}h"),
        (numbers.duration(1_000_000), f"12{SPACE}days"),
        (numbers.plural(1, "image"), f"1{SPACE}image"),
        (numbers.plural(2, "class", "classes"), f"2{SPACE}classes"),
        (numbers.spread(57.7, 0.59), f"57.7{SPACE}{PLUS_MINUS}{SPACE}0.6{SPACE}%"),
        (numbers.spread(57.7, None, 2), f"57.70{SPACE}%"),
    ],
)
def test_number_format(made, shown):
    assert made == shown


def test_single_value_has_no_standard_deviation():
    assert numbers.mean_and_std((50.0,)) == (50.0, None)
    assert numbers.mean_and_std((50.0, 52.0, 51.0)) == (51.0, 1.0)
