"""Tables of all other results: applications, comparisons, storage, benchmarks."""

from collections.abc import Mapping
from itertools import groupby

from markdown import accuracy, interval, paragraph, table
from recorded import linked, notes
from render_accuracies import is_accuracy
from render_comparisons import is_comparison
from render_paper import STUDY

from hmnpack.evaluation.rows import statistics_of
from hmnpack.schema.result import Figure, Result, Row

COLUMNS = ("networks trained on", "images", "accuracy", "95 %", "networks")


def sections(found: Mapping[str, Result]) -> str:
    """Return a heading and a Markdown table per kind of measurement.

    Results with the same metrics, such as those of several files, share a table.
    """
    others = {name: result for name, result in found.items() if _is_other(name, result)}
    kinds = [
        (kind, {name: others[name] for name in names})
        for kind, names in groupby(sorted(others, key=_kind), key=_kind)
    ]
    return "\n".join(_section(kind, same) for kind, same in kinds)


def _is_other(name: str, result: Result) -> bool:
    elsewhere = name.startswith(STUDY) or is_comparison(name)
    return not (is_accuracy(result) or "proxy" in result.figures or elsewhere)


def _kind(name: str) -> str:
    """Return the kind of a measurement: the first word of the result's name, or `png`."""
    return "png" if name.endswith("-png") else name.partition("-")[0]


def _section(kind: str, found: Mapping[str, Result]) -> str:
    remarks = f"{paragraph(notes()[kind])}\n" if kind in notes() else ""
    summary = "".join(paragraph(f"- {_summary(name, result)}") for name, result in found.items())
    return f"### {kind}\n\n{remarks}{summary}\n{_shown(found)}"


def _summary(name: str, result: Result) -> str:
    machine = result.machine
    parts = [machine.processor, f"{machine.cores} cores"]
    parts += [machine.device] if machine.device != "cpu" else []
    parts += [f"torch {machine.versions.get('torch', '-')}", f"commit `{result.commit}`"]
    return f"{linked(name)}: {', '.join(parts)}"


def _shown(found: Mapping[str, Result]) -> str:
    rows = [(name, row) for name, result in found.items() for row in _rows(result)]
    if rows:
        return table(("run", *COLUMNS), ((name, *_cells(row)) for name, row in rows))
    if len(found) == 1:
        (result,) = found.values()
        return table(("figure", "value"), ((f"`{n}`", _cell(v)) for n, v in result.figures.items()))
    columns = list(dict.fromkeys(key for result in found.values() for key in result.figures))
    lines = (
        (name, *(_cell(result.figures.get(key)) for key in columns))
        for name, result in found.items()
    )
    return table(("run", *(f"`{column}`" for column in columns)), lines)


def _rows(result: Result) -> tuple[Row, ...]:
    """Return the rows of a result; the first one is its own accuracy, if it has one."""
    if result.accuracy_mean is None:
        return result.baselines
    images = result.figures.get("condensed_images", result.figures.get("images"))
    own = {"name": "condensed images", "images": images, **statistics_of(result.accuracies)}
    return (Row.model_validate(own), *result.baselines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.images:,}",
        accuracy(row.accuracy_mean, row.accuracy_std, row.networks),
        interval(row.accuracy_ci95),
        str(row.networks),
    )


def _cell(value: Figure) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
