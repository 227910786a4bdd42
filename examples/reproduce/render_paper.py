"""The tables of the paper's studies in this folder's README, from the results that there are.

`render_tables.py` writes them, and says whether they would change.
"""

from pathlib import Path

from markdown import accuracy, table

from hmnpack.schema.result import Figure, Result, Row

README = Path(__file__).resolve().parent / "README.md"
BEGIN = "<!-- paper: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of paper -->"
EMPTY = "No table or figure of the paper is recorded yet.\n"
COLUMNS = ("ipc", "row", "images", "here", "95 %", "paper")
FIGURES = {
    "images": "images",
    "mb": "memory, MB",
    "mb_paper": "paper",
    "decode_seconds": "decoding, s",
    "decode_seconds_paper": "paper",
}
"""Figures of Table 5 by the beginning of their names, which end in a budget."""


def studies(folder: Path) -> dict[str, Result]:
    """Return the results of studies by the name of their file: tables, then figures."""
    found = {
        path.name: Result.model_validate_json(path.read_text(encoding="utf-8"))
        for path in folder.glob("paper-*.json")
    }
    order = sorted(found, key=lambda name: (not name.startswith("paper-table"), name))
    return {name: found[name] for name in order}


def sections(folder: Path) -> str:
    """Return a heading, what was measured and a Markdown table for each result."""
    found = studies(folder)
    parts = [_section(result, f"{folder.name}/{name}") for name, result in found.items()]
    return "\n".join(parts) if parts else EMPTY


def _section(result: Result, link: str) -> str:
    shown = _accuracies(result.controls) if result.controls else _figures(result)
    return f"### {result.figures['title']}\n\n{_said(result, link)}\n\n{shown}"


def _said(result: Result, link: str) -> str:
    figures = result.figures
    data = result.data.name if result.data else "-"
    parts = [data, f"scale `{figures['scale']}`"]
    if result.controls:
        parts += [
            f"recipe `{result.recipe}`" if result.recipe else "bundles that were there already",
            f"{result.controls[0].networks} networks a row, ConvNets of width {figures['width']}",
            f"tested on {figures['tested_on']}",
        ]
    return f"{', '.join(parts)} ([json]({link}))."


def _accuracies(rows: tuple[Row, ...]) -> str:
    return table(COLUMNS, (_cells(row) for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    interval, paper = row.accuracy_ci95, row.figures.get("paper")
    return (
        str(row.figures["ipc"]),
        row.name,
        f"{row.images:,}",
        accuracy(row.accuracy_mean, row.accuracy_std, row.networks),
        "-" if interval is None else f"&plusmn; {interval:.1f}",
        "-" if paper is None else f"{paper}",
    )


def _figures(result: Result) -> str:
    """Return the table of a study without accuracies, Table 5: a line for each budget."""
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
