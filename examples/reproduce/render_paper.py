"""Tables of the measurements that reproduce a table or figure of the paper."""

from collections.abc import Mapping

from markdown import accuracy, interval, paragraph, table
from recorded import linked, notes

from hmnpack.schema.result import Figure, Result, Row

STUDY = "paper-"
"""Prefix of these results' names."""

COLUMNS = ("ipc", "row", "images", "here", "95 %", "paper")
FIGURES = {
    "images": "images",
    "mb": "memory, MB",
    "mb_paper": "paper",
    "decode_seconds": "decoding, s",
    "decode_seconds_paper": "paper",
}
"""Columns of Table 5 by metric prefix; metric names end in a budget."""


def sections(found: Mapping[str, Result]) -> str:
    """Return a heading, a description and a Markdown table for each: tables, then figures."""
    names = [name for name in found if name.startswith(STUDY)]
    names.sort(key=lambda name: (not name.startswith(f"{STUDY}table"), name))
    return "\n".join(_section(name, found[name]) for name in names)


def _section(name: str, result: Result) -> str:
    shown = _accuracies(result.baselines) if result.baselines else _figures(result)
    summary = paragraph(f"{_summary(result)} ({linked(name)}, commit `{result.commit}`).")
    remarks = f"{paragraph(notes()[name])}\n" if name in notes() else ""
    return f"### {result.figures['title']}\n\n{summary}\n{remarks}{shown}"


def _summary(result: Result) -> str:
    figures = result.figures
    data = result.data.name if result.data else "-"
    parts = [data, f"scale `{figures['scale']}`"]
    if result.baselines:
        parts += [
            f"recipe `{result.recipe}`" if result.recipe else "existing bundles",
            f"{result.baselines[0].networks} networks a row, ConvNets of width {figures['width']}",
            f"tested on {figures['tested_on']}",
        ]
    return ", ".join(parts)


def _accuracies(rows: tuple[Row, ...]) -> str:
    return table(COLUMNS, (_cells(row) for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    paper = row.figures.get("paper")
    return (
        str(row.figures["ipc"]),
        row.name,
        f"{row.images:,}",
        accuracy(row.accuracy_mean, row.accuracy_std, row.networks),
        interval(row.accuracy_ci95),
        "-" if paper is None else f"{paper}",
    )


def _figures(result: Result) -> str:
    """Return the table of a study without accuracies (Table 5): a row per budget."""
    rows = []
    for name in result.figures:
        begin, _, ipc = name.partition("_ipc")
        if begin == next(iter(FIGURES)):
            values = (result.figures[f"{each}_ipc{ipc}"] for each in FIGURES)
            rows.append((ipc, *(_cell(value) for value in values)))
    return table(("ipc", *FIGURES.values()), rows)


def _cell(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
    return "-" if value is None else f"{value:,}"
