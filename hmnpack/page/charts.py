"""SVG charts that fill the available width at a constant text size.

Horizontal positions are in percent, vertical ones in pixels. Paths do not support percentages, so
lines are drawn in an inner SVG that is stretched horizontally, with strokes that do not scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.page.axes import Axis
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import short

HEIGHT = 240
_TOP, _BOTTOM = 36.0, 204.0
_LEFT, _RIGHT = 11.0, 97.0
"""Horizontal range of the plot area, in percent; the left margin holds the tick labels."""

_BAR = 36
"""Height of a stacked bar, in pixels."""

_STRETCHED = 1000
Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Axes and labels of a chart.

    Attributes:
        name: Description for screen readers: the content of the chart and its main finding.
        x: Horizontal axis.
        y: Vertical axis.
        x_label: Label of the horizontal axis, with its unit.
        y_label: Label of the vertical axis, with its unit.
    """

    name: str
    x: Axis
    y: Axis
    x_label: str
    y_label: str

    def across(self, value: float) -> float:
        """Return the horizontal position of a value, in percent."""
        return _LEFT + (_RIGHT - _LEFT) * self.x.at(value)

    def down(self, value: float) -> float:
        """Return the vertical position of a value, in pixels from the top."""
        return _BOTTOM + (_TOP - _BOTTOM) * self.y.at(value)


def line_chart(
    frame: Frame,
    lines: Sequence[Sequence[Point]],
    dots: Sequence[Point] = (),
    chosen: Point | None = None,
) -> Html:
    """Return a line chart.

    Args:
        frame: Axes and labels.
        lines: Points of each line, from left to right.
        dots: Individual points to draw in addition.
        chosen: A point to highlight.
    """
    drawn = [_lines(frame, lines), *(_dot(frame, dot, 2.5, "dot") for dot in dots)]
    if chosen is not None:
        drawn += [_dot(frame, chosen, 7, "ring"), _dot(frame, chosen, 3.5, "mark")]
    return _chart(frame, drawn)


def histogram(frame: Frame, bins: Sequence[tuple[float, float, float]]) -> Html:
    """Return a histogram.

    Args:
        frame: Axes and labels.
        bins: Lower edge, upper edge and height of each bin, in the units of the axes.
    """
    return _chart(frame, [_bar(frame, *each) for each in bins if each[2]])


def stacked_bar(name: str, segments: Sequence[tuple[str, float]]) -> Html:
    """Return a horizontal stacked bar over the full width.

    Args:
        name: Description for screen readers.
        segments: Style class and fraction of each, from left to right; fractions add up to 1.
    """
    drawn, begin = [], 0.0
    for kind, part in segments:
        drawn.append(
            tag(
                "rect",
                x=f"{100 * begin:.6f}%",
                y=0,
                width=f"{100 * part:.6f}%",
                height=_BAR,
                class_=kind,
            )
        )
        begin += part
    return tag("svg", *drawn, class_="bar", width="100%", height=_BAR, role="img", aria_label=name)


def interval(middle: float, spread: float | None, kind: str) -> Html:
    """Return a percentage as a point on a line from 0 to 100, with a whisker.

    Args:
        middle: Value, in percent.
        spread: Half the length of the whisker, in percentage points; None: no whisker.
        kind: Style class.
    """
    low, high = max(0.0, middle - (spread or 0)), min(100.0, middle + (spread or 0))
    parts = [
        tag("line", x1="0%", x2="100%", y1=7, y2=7, class_="track"),
        tag("line", x1="0%", x2=f"{middle:.3f}%", y1=7, y2=7, class_="reach"),
        tag("line", x1=f"{low:.3f}%", x2=f"{high:.3f}%", y1=7, y2=7, class_="whisker"),
        tag("circle", cx=f"{middle:.3f}%", cy=7, r=4.5),
    ]
    kinds = f"interval {kind}"
    return tag("svg", *parts, class_=kinds, width="100%", height=14, aria_hidden="true")


def _chart(frame: Frame, drawn: Sequence[Html]) -> Html:
    return tag(
        "svg",
        _grid(frame),
        *drawn,
        class_="chart",
        width="100%",
        height=HEIGHT,
        role="img",
        aria_label=frame.name,
    )


def _grid(frame: Frame) -> Html:
    parts = [tag("text", frame.y_label, x=0, y=11, class_="axis")]
    for value in frame.y.ticks:
        y = frame.down(value)
        parts.append(tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        parts.append(tag("text", short(value), x=0, y=y - 4, class_="tick"))
    for value in frame.x.ticks:
        x = f"{frame.across(value):.3f}%"
        parts.append(tag("line", x1=x, x2=x, y1=_BOTTOM, y2=_BOTTOM + 4, class_="stub"))
        parts.append(tag("text", short(value), x=x, y=_BOTTOM + 17, class_="tick middle"))
    parts.append(tag("text", frame.x_label, x="97%", y=HEIGHT - 2, class_="axis end"))
    return join(parts)


def _lines(frame: Frame, lines: Sequence[Sequence[Point]]) -> Html:
    paths = [
        tag("path", d=_path(frame, points), vector_effect="non-scaling-stroke")
        for points in lines
        if points
    ]
    return tag(
        "svg",
        *paths,
        class_="lines",
        aria_hidden="true",
        width="100%",
        height=HEIGHT,
        viewBox=f"0 0 {_STRETCHED} {HEIGHT}",
        preserveAspectRatio="none",
    )


def _path(frame: Frame, points: Sequence[Point]) -> str:
    scale = _STRETCHED / 100
    return "M" + "L".join(f"{frame.across(x) * scale:.1f} {frame.down(y):.1f}" for x, y in points)


def _dot(frame: Frame, point: Point, radius: float, kind: str) -> Html:
    x, y = point
    return tag(
        "circle",
        cx=f"{frame.across(x):.3f}%",
        cy=f"{frame.down(y):.2f}",
        r=radius,
        class_=kind,
    )


def _bar(frame: Frame, low: float, high: float, value: float) -> Html:
    left, right, top = frame.across(low), frame.across(high), frame.down(value)
    gap = 0.12 * (right - left)
    return tag(
        "rect",
        x=f"{left + gap / 2:.3f}%",
        width=f"{right - left - gap:.3f}%",
        y=f"{top:.2f}",
        height=f"{_BOTTOM - top:.2f}",
        class_="column",
    )
