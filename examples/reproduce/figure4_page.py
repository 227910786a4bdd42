"""The page of figure 4: a chart per row and budget, in the style of reports, and the numbers."""

from collections.abc import Iterator, Sequence

from hmnpack.page.axes import axis_from
from hmnpack.page.charts import Frame, line_chart
from hmnpack.page.document import policy, style
from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.parts import Part, figure, paragraph, section, table
from hmnpack.schema.continual import ContinualConfig
from hmnpack.schema.result import Row

TITLES = {
    "hmn": "hmnpack, appended",
    "floats": "random real, same floats",
    "bytes": "JPEG real, same bytes",
    "herding": "herding, same floats",
}
"""Titles of rows; others have their name."""


def page_of(data: str, config: ContinualConfig, rows: Sequence[Row]) -> str:
    """Return the text of a self-contained page.

    Args:
        data: Name of the dataset.
        config: The protocol.
        rows: One row per method, budget and stage, in this order.
    """
    charts = tag("div", *(_chart(curve) for curve in _curves(rows)), class_="charts")
    said = (
        f"Protocol {config.protocol}: {config.stages} stages. Test accuracy on the classes seen so "
        "far, mean over seeds; dots are single seeds."
    )
    parts = [
        Part("curves", "Accuracy by classes seen", join((paragraph(said), charts))),
        Part("values", "Values", _table(rows)),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{data}, class-incremental learning"),
        tag("style", style()),
    )
    header = tag("header", paragraph("Figure 4", kind="kicker"), tag("h1", name_of(data)))
    main = tag("main", *(section(part) for part in parts), id="content")
    body = tag("body", tag("div", header, class_="head"), main)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _curves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the rows of each curve: one method and budget, by stage."""
    curves: dict[tuple[object, str], list[Row]] = {}
    for row in rows:
        curves.setdefault((row.figures["ipc"], row.name), []).append(row)
    yield from curves.values()


def _chart(curve: list[Row]) -> Html:
    title = f"{TITLES.get(curve[0].name, curve[0].name)}, {curve[0].figures['ipc']} IPC"
    line = [(_classes(row), row.accuracy_mean) for row in curve]
    last = curve[-1]
    end = f"{last.accuracy_mean:.1f} % after {_classes(last):g} classes"
    frame = Frame(
        name=f"{title}: {end}",
        x=axis_from(0.0, line[-1][0], 5),
        y=axis_from(0.0, 100.0, 4),
        x_label="classes",
        y_label="accuracy, %",
    )
    dots = [(_classes(row), one) for row in curve for one in row.accuracies]
    return figure(line_chart(frame, [line], dots), join((tag("strong", title), f", {end}")))


def _table(rows: Sequence[Row]) -> Html:
    columns = ("row", "IPC", "classes", "images", "bytes", "accuracy, %", "deviation", "seeds")
    cells = [
        (
            TITLES.get(row.name, row.name),
            *(row.figures[key] for key in ("ipc", "classes")),
            row.images,
            row.figures.get("bytes", ""),
            f"{row.accuracy_mean:.2f}",
            f"{row.accuracy_std:.2f}",
            row.networks,
        )
        for row in rows
    ]
    return table("Test accuracy after each stage", columns, cells)


def _classes(row: Row) -> float:
    return float(row.figures["classes"] or 0)
