"""Section on the curves of a run's log: loss and accuracy by step."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hmnpack.page.axes import axis_around, axis_from
from hmnpack.page.charts import Frame, Point, line_chart
from hmnpack.page.events import RunLog, Stage
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import count, duration, plural, rough
from hmnpack.page.parts import Part, figure, folded, paragraph, table
from hmnpack.schema.stages import FITTED

FIGURES = {"loss": "loss", "accuracy": "accuracy, %"}
"""Metric in the log -> axis label, for the metrics that are drawn."""

LEFT_OUT = ("margins", "pruning")
"""Stages that are not drawn: they consist of many trainings, whose results are in the file."""

CHARTS = 24
LINES = 20
POINTS = 240
"""Maximum points per line; longer curves are averaged over neighbouring points."""

DOTS = 50
"""Maximum points of an accuracy curve for which dots are drawn."""

ROWS = 12
"""Maximum rows in the table of a curve's values."""


def curves_part(log: RunLog) -> Part | None:
    """Return the section with the curves of a log; None if it has no curves."""
    charts = [_chart(*each) for each in list(curves_of(log))[:CHARTS]]
    if not charts:
        return None
    grid = tag("div", *charts, class_="charts")
    return Part("curves", "Curves of the run", join((paragraph(_said(log)), grid)))


def curves_of(log: RunLog) -> Iterator[tuple[str, str, list[Stage]]]:
    """Yield the metric, the title and the stages of each chart.

    Stages whose names differ only by a trailing number share one chart: ``pool network 1`` and
    ``pool network 2`` are lines of ``pool network``.
    """
    for figure_name in FIGURES:
        found: dict[str, list[Stage]] = {}
        for stage in log.stages.values():
            if stage.name not in LEFT_OUT and len(stage.curve(figure_name)) > 1:
                title = stage.name.rstrip("0123456789 /") or stage.name
                found.setdefault(title, []).append(stage)
        for title, stages in found.items():
            yield figure_name, title, stages


def thinned(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """Return a curve with at most ``most`` points, each the mean of neighbouring points."""
    if len(points) <= most:
        return list(points)
    edges = [index * len(points) // most for index in range(most + 1)]
    return [_mean(points[first:last]) for first, last in pairwise(edges)]


def _mean(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _chart(name: str, title: str, stages: Sequence[Stage]) -> Html:
    curves = [stage.curve(name) for stage in stages[:LINES]]
    lines = [thinned(curve) for curve in curves]
    unit = "step" if title in FITTED else "epoch"
    (first, begin), (last, end) = curves[0][0], curves[0][-1]
    several = f" ({plural(len(lines), 'line')})" if len(lines) > 1 else ""
    summary = f"{rough(begin)} after {plural(first, unit)}, {rough(end)} after {count(last)}"
    y = axis_around([value for line in lines for _, value in line], 4)
    frame = Frame(
        name=f"{name} of {title} by {unit}{several}: {summary}",
        x=axis_from(0.0, float(max(curve[-1][0] for curve in curves)), 5),
        y=y,
        x_label=unit,
        y_label=FIGURES[name] + (" (logarithmic)" if y.logarithmic else ""),
    )
    dots = lines[0] if name == "accuracy" and len(lines[0]) <= DOTS else []
    caption = join((tag("strong", f"{title}: {name}"), f"{several}, {summary}"))
    return figure(line_chart(frame, lines, dots), caption, _table(frame, curves[0]))


def _table(frame: Frame, curve: Sequence[Point]) -> Html:
    rows = [(count(round(step)), rough(value)) for step, value in thinned(curve, ROWS)]
    inner = table(frame.name, (frame.x_label, frame.y_label), rows, "quiet")
    averaged = f" (means of neighbouring {frame.x_label}s)" if len(curve) > ROWS else ""
    return folded(f"Table of values{averaged}", inner, "numbers")


def _said(log: RunLog) -> str:
    end = "completed" if log.ended else "had not completed"
    again = f", resumed {plural(log.resumed, 'time')}" if log.resumed else ""
    said = f"From the log of a run that {end} after {duration(log.seconds)}{again}."
    if any(log.stages[name].curve("accuracy") for name in FITTED if name in log.stages):
        said += (
            " The accuracy is that of small probe networks, trained on the synthetic images at "
            "that step and tested on held-out images of the training split."
        )
    return said
