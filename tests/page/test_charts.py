"""Charts: known values are drawn at the expected positions."""

import re

import pytest

from hmnpack.page.axes import axis_from
from hmnpack.page.charts import HEIGHT, Frame, histogram, interval, line_chart, stacked_bar

FRAME = Frame("what is seen", axis_from(0.0, 10.0), axis_from(0.0, 100.0), "step", "loss")
LEFT, RIGHT, TOP, BOTTOM = 11.0, 97.0, 36.0, 204.0


def percents(nodes, key):
    return [float(node.attributes[key].removesuffix("%")) for node in nodes]


def test_line_goes_through_its_points(parsed):
    chart = parsed(line_chart(FRAME, [[(0, 0), (5, 50), (10, 100)]])).one("svg", class_="chart")
    path = chart.one("path").attributes["d"]
    points = [float(number) for number in re.findall(r"[\d.]+", path)]
    middle = ((LEFT + RIGHT) / 2 * 10, (TOP + BOTTOM) / 2)
    assert points == pytest.approx([LEFT * 10, BOTTOM, *middle, RIGHT * 10, TOP], abs=0.051)
    assert chart.one("svg", class_="lines").attributes["viewbox"] == f"0 0 1000 {HEIGHT}"


def test_chart_has_a_label_and_axis_labels(parsed):
    chart = parsed(line_chart(FRAME, [[(0, 0), (1, 1)]])).one("svg", class_="chart")
    assert (chart.attributes["role"], chart.attributes["aria-label"]) == ("img", "what is seen")
    words = [node.text for node in chart.all("text")]
    assert {"step", "loss", "0", "10", "100"} <= set(words)


def test_dots_and_chosen_point_are_on_the_scale(parsed):
    chart = parsed(line_chart(FRAME, [], [(0, 100), (10, 0)], chosen=(5, 50)))
    dots = list(chart.all("circle", class_="dot"))
    assert percents(dots, "cx") == [LEFT, RIGHT]
    assert percents(dots, "cy") == [TOP, BOTTOM]
    assert percents([chart.one("circle", class_="ring")], "cx") == [(LEFT + RIGHT) / 2]
    assert not list(chart.all("path"))


def test_histogram_bars_start_at_the_axis(parsed):
    chart = parsed(histogram(FRAME, [(0, 5, 50), (5, 10, 0), (5, 10, 100)]))
    bars = list(chart.all("rect"))
    assert len(bars) == 2  # an empty bin has no bar
    assert percents(bars, "y") == [(TOP + BOTTOM) / 2, TOP]
    assert percents(bars, "height") == [(BOTTOM - TOP) / 2, BOTTOM - TOP]
    half = (RIGHT - LEFT) / 2
    assert percents(bars, "width") == pytest.approx([0.88 * half] * 2)
    assert percents(bars, "x") == pytest.approx([LEFT + 0.06 * half, LEFT + 1.06 * half])


def test_segments_of_a_bar_are_adjacent(parsed):
    bar = parsed(stacked_bar("all", [("a", 0.25), ("b", 0.125), ("c", 0.625)]))
    parts = list(bar.all("rect"))
    assert percents(parts, "x") == [0, 25, 37.5]
    assert percents(parts, "width") == [25, 12.5, 62.5]
    assert [part.attributes["class"] for part in parts] == ["a", "b", "c"]


def test_interval_is_clipped_to_its_line(parsed):
    ends = parsed(interval(1.0, 3.0, "own")).one("line", class_="whisker")
    assert percents([ends], "x1") == [0]
    assert percents([ends], "x2") == [4]
    plain = parsed(interval(40.0, None, "paper"))
    assert percents([plain.one("circle")], "cx") == [40]
    assert plain.one("svg").attributes["aria-hidden"] == "true"
