"""Curves of a log: charts, captions and tables."""

import pytest

from hmnpack.page.curves import CHARTS, curves_of, curves_part, thinned
from hmnpack.page.events import RunLog, Stage, log_of


def test_stages_that_differ_by_a_number_share_a_chart(run_log):
    found = [(name, title, len(stages)) for name, title, stages in curves_of(run_log)]
    assert found == [
        ("loss", "pool network", 2),
        ("loss", "warm-up", 1),
        ("loss", "matching", 1),
        ("accuracy", "matching", 1),
    ]


def test_every_curve_has_a_chart_and_a_caption(run_log, parsed):
    page = parsed(curves_part(run_log).body)
    charts = list(page.all("svg", class_="chart"))
    assert [chart.attributes["aria-label"].partition(" of ")[0] for chart in charts] == [
        *("loss", "loss", "loss", "accuracy")
    ]
    assert len(list(charts[0].all("path"))) == 2
    assert "50 after 1\N{NO-BREAK SPACE}step, 0.5 after 10" in charts[2].attributes["aria-label"]
    assert "loss (logarithmic)" in charts[2].text
    assert len(list(charts[3].all("circle"))) == 10
    assert [label for chart in charts for label in ("epoch", "step") if label in chart.text] == [
        *("epoch", "step", "step", "step")
    ]
    assert "completed after 2\N{NO-BREAK SPACE}min" in page.text
    assert "probe networks" in page.text


def test_tables_have_the_values_of_the_curves(run_log, parsed):
    page = parsed(curves_part(run_log).body)
    rows = [
        [cell.text for cell in (row.one("th"), *row.all("td"))]
        for row in list(page.all("tbody"))[2].all("tr")
    ]
    assert rows[:2] == [["1", "50"], ["2", "12.5"]]
    assert len(rows) == 10


@pytest.mark.parametrize("most", [1, 7, 120])
def test_long_curve_is_averaged_with_the_same_mean(most):
    points = [(step, step % 5) for step in range(840)]
    found = thinned(points, most)
    assert len(found) == most
    assert sum(x for x, _ in found) / most == pytest.approx(839 / 2)
    assert sum(y for _, y in found) / most == pytest.approx(2)


def test_short_curve_is_not_averaged():
    assert thinned([(1, 2.0), (3, 4.0)]) == [(1, 2.0), (3, 4.0)]


def test_a_log_without_curves_has_no_section():
    assert curves_part(RunLog()) is None
    one = log_of(
        [b'{"event":"progress","stage":"matching","done":1,"total":2,"figures":{"loss":1.0}}']
    )
    assert curves_part(one) is None


def test_pruning_stages_and_excess_charts_are_omitted():
    def stage(name):
        return Stage(name, {"loss": {1: 1.0, 2: 0.5}})

    assert curves_part(RunLog({"margins": stage("margins"), "pruning": stage("pruning")})) is None
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100)]
    part = curves_part(RunLog({name: stage(name) for name in names}))
    assert part.body.count('class="chart"') == CHARTS


def test_text_states_how_the_run_ended(parsed):
    curve = {"loss": {1: 1.0, 2: 0.5}}
    stages = {"7": Stage("7", curve)}
    said = parsed(curves_part(RunLog(stages, 7200.0, 2, ended=False)).body).one("p").text
    assert "had not completed after 2\N{NO-BREAK SPACE}h, resumed 2" in said
    assert "probe networks" not in said
