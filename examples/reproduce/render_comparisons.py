"""Tables 2 and 3 in METHODS.md: a cell without a recorded measurement is shown as open."""

from collections.abc import Mapping, Sequence

from comparisons import (
    OBJECTIVES,
    PUBLISHED_2,
    PUBLISHED_3,
    REAL,
    RECIPES,
    TABLE_2,
    TABLE_3,
    cells_of,
)
from markdown import accuracy, paragraph, table
from recorded import HERE, RESULTS, linked

from hmnpack.schema.result import Figure, Result, Row

PAGE = HERE.parents[1] / "METHODS.md"
BEGIN = "<!-- tables 2 and 3: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of tables 2 and 3 -->"

OPEN = "open"
"""Accuracy of a cell that is not measured."""

MEASURES = ("images", "floats", "bytes", "steps", "minutes", "accuracy")


def tables(found: Mapping[str, Result]) -> str:
    """Return both tables in Markdown, with a summary of each run."""
    two, three = found.get(TABLE_2), found.get(TABLE_3)
    return f"{_summary(TABLE_2, two)}\n{_methods(two)}\n{_summary(TABLE_3, three)}\n" + (
        _containers(three)
    )


def is_comparison(name: str) -> bool:
    """Return whether a result is a measurement of table 2 or 3."""
    return name.startswith((TABLE_2, TABLE_3))


def sections(found: Mapping[str, Result]) -> str:
    """Return the list of these results, for the page of all results."""
    names = [name for name in found if is_comparison(name)]
    lines = [paragraph(f"- {linked(name)}: {_facts(found[name])}") for name in names]
    return "".join(lines) or "Not measured yet.\n"


def _methods(result: Result | None) -> str:
    rows = _rows(result)
    columns = ("method", "container", "width", *MEASURES, "published")
    lines = []
    for name in (*RECIPES, *REAL):
        row = rows.get(name)
        figures = row.figures if row else {}
        about = (REAL.get(name, f"`{name}`"), _cell(figures.get("container")))
        width = _cell(figures.get("width"))
        lines.append((*about, width, *_measures(row), _cell(PUBLISHED_2.get(name))))
    return table(columns, lines)


def _containers(result: Result | None) -> str:
    rows = _rows(result)
    columns = ("objective", "ipc", "container", *MEASURES, "published")
    lines = []
    for name, (objective, ipc, kind) in cells_of().items():
        published = _cell(PUBLISHED_3.get((kind, ipc)))
        about = (OBJECTIVES[objective], str(ipc), f"`{kind}`")
        lines.append((*about, *_measures(rows.get(name)), published))
    return table(columns, lines)


def _rows(result: Result | None) -> dict[str, Row]:
    return {row.name: row for row in result.baselines} if result else {}


def _measures(row: Row | None) -> Sequence[str]:
    """Return the cells of what was measured."""
    if row is None:
        return (*("-" for _ in MEASURES[:-1]), OPEN)
    figures = row.figures
    minutes = figures.get("processor_minutes")
    condensed = "container" in figures  # `steps` of a row of real images are steps of training
    return (
        f"{row.images:,}",
        _cell(figures.get("floats")),
        _cell(figures.get("bytes")),
        _cell(figures.get("steps")) if condensed else "-",
        f"{minutes:.1f}" if isinstance(minutes, float) else "-",
        accuracy(row.accuracy_mean, row.accuracy_std, row.networks),
    )


def _summary(name: str, result: Result | None) -> str:
    """Return what a run was: its file, data, scale and commits, and why cells failed."""
    number = "2" if name == TABLE_2 else "3"
    if result is None:
        return paragraph(f"Table {number} is not measured yet.")
    link = f"[{name}](examples/reproduce/{RESULTS}/{name}.json)"
    text = paragraph(f"Table {number}: {_facts(result)} ({link}).")
    failures = [
        paragraph(f"- `{key.removeprefix('failed_')}` could not be measured: {reason}")
        for key, reason in result.figures.items()
        if key.startswith("failed_")
    ]
    return "\n".join([text, "".join(failures)] if failures else [text])


def _facts(result: Result) -> str:
    """Return data, scale, protocol, machine and commits in one line."""
    figures = result.figures
    size = (
        f"{figures['minutes_each']:g} CPU minutes each"
        if _is_2(result)
        else (f"scale {figures['scale']:g}")
    )
    epochs = f", `{figures['settings']}`" if figures.get("settings") else ""
    networks = sorted({row.networks for row in result.baselines})
    commits = dict.fromkeys(f"`{row.figures['commit']}`" for row in result.baselines)
    return ", ".join(
        (
            result.data.name if result.data else "-",
            size,
            f"protocol `{figures['protocol']}`{epochs}",
            f"{' or '.join(map(str, networks))} network per cell",
            f"one core of {result.machine.processor}",
            f"commit {' and '.join(commits)}",
        )
    )


def _is_2(result: Result) -> bool:
    return "minutes_each" in result.figures


def _cell(value: Figure) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
