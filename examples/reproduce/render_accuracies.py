"""Tables of test accuracies: one per dataset, one row per evaluated file."""

from collections.abc import Mapping
from itertools import groupby

import markdown
from recorded import linked, notes
from render_front import packed_in

from hmnpack.schema.result import Result

BASELINES = ("same floats", "same bytes", "warm-up alone", "whole data")
"""Column of each baseline: a substring of its row's name."""

COLUMNS = (
    *("file", "ipc", "recipe", "compression time", "images", "protocol", "networks", "condensed"),
    *("95 %", "paper", *BASELINES, "commit", "remarks"),
)


def is_accuracy(result: Result) -> bool:
    """Return whether a result is an evaluation of a file; proxies and applications are not."""
    return result.accuracy_mean is not None and not {"proxy", "title"} & result.figures.keys()


def accuracies(found: Mapping[str, Result]) -> dict[str, Result]:
    """Return the results that are evaluations of files."""
    return {name: result for name, result in found.items() if is_accuracy(result)}


def sections(found: Mapping[str, Result]) -> str:
    """Return a heading and a Markdown table per dataset, sorted by budget."""

    def place(name: str) -> tuple[str, int, str]:
        result = found[name]
        return _data(result), int(result.figures.get("ipc") or 0), name

    names = sorted(accuracies(found), key=place)
    parts = []
    for data, same in groupby(names, key=lambda name: _data(found[name])):
        parts.append(f"### {data}\n\n{table({name: found[name] for name in same})}")
    return "\n".join(parts)


def table(found: Mapping[str, Result]) -> str:
    """Return a Markdown table with a row per result, without empty columns."""
    rows = [_cells(name, result) for name, result in found.items()]
    used = [place for place in range(len(COLUMNS)) if any(row[place] != "-" for row in rows)]
    lines = [[row[place] for place in used] for row in (COLUMNS, *rows)]
    return markdown.table(lines[0], lines[1:])


def _data(result: Result) -> str:
    name = result.data.name if result.data else "-"
    held_out = result.protocol is not None and result.protocol.held_out
    return f"{name}, held-out images" if held_out else name


def _cells(name: str, result: Result) -> tuple[str, ...]:
    figures = result.figures
    return (
        linked(name),
        str(figures.get("ipc", "-")),
        result.recipe or "-",
        packed_in(result),
        str(figures.get("images", "-")),
        f"{figures.get('protocol', '-')}",
        _networks(result),
        markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks, bold=True),
        markdown.interval(result.accuracy_ci95),
        str(figures.get("paper_accuracy", "-")),
        *(markdown.baseline(result.baselines, words) for words in BASELINES),
        f"`{result.commit}`",
        notes().get(name, "-"),
    )


def _networks(result: Result) -> str:
    figures = result.figures
    width = f" of width {figures['width']}" if figures.get("network") == "convnet" else ""
    network = f"{result.networks} x {figures.get('network', '-')}{width}"
    return f"{network}, {figures.get('epochs', '-')} epochs"
