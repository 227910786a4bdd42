"""The README's table: a row per shipped file, with real images of the same budget as baselines."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path

import markdown

from hmnpack.bundle import inspect
from hmnpack.page.numbers import SPACE, size
from hmnpack.schema.result import Figure, Result, Row

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RESULTS_LINK, BUNDLES_LINK = "examples/reproduce/results", "examples/bundles"
"""Folders, relative to the README."""

BY_PAPER = "-paper"
"""Suffix of a shipped file's result under protocol `paper`."""

COLUMNS = (
    *("data", "IPC", "stored", "images"),
    *("condensed", "by the paper's protocol", "the paper"),
    *("random real, same floats", "JPEG real, same bytes", "compression time"),
)


def table(found: Mapping[str, Result]) -> str:
    """Return the table in Markdown.

    Args:
        found: All results with a test accuracy, by file stem.
    """
    return markdown.table(COLUMNS, (_cells(name, found) for name in shipped(found)))


def shipped(found: Mapping[str, Result]) -> list[str]:
    """Return the names of the results that are named like a shipped file."""
    files = {path.stem for path in BUNDLES.glob("*.hmn")}
    return [name for name in found if name in files]


def packed_in(result: Result) -> str:
    """Return the single-core CPU time of condensing the file, including the pool."""
    minutes = result.figures.get("processor_minutes_packing")
    if minutes is None:
        return "-"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{60 * minutes:.0f} s"


def _cells(name: str, found: Mapping[str, Result]) -> tuple[str, ...]:
    result, longer = found[name], name + BY_PAPER
    rows = _comparable(result)
    stored = size(inspect(BUNDLES / f"{name}.hmn").ledger.bytes).replace(SPACE, " ")
    return (
        result.data.name if result.data else "-",
        str(result.figures.get("ipc", "-")),
        f"[{stored}]({BUNDLES_LINK}/{name}.hmn)",
        str(result.figures.get("images", "-")),
        _linked(name, result, bold=True),
        _linked(longer, found[longer]) if longer in found else "-",
        str(result.figures.get("paper_accuracy", "-")),
        *(markdown.baseline(rows, words) for words in ("same floats", "same bytes")),
        packed_in(result),
    )


def _linked(name: str, result: Result, bold: bool = False) -> str:
    """Return an accuracy that links to its result, and the number of networks."""
    shown = markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks, bold)
    return f"[{shown}]({RESULTS_LINK}/{name}.json) ({result.networks})"


def _comparable(result: Result) -> list[Row]:
    """Return the baseline rows trained for at least as many steps as the file's networks."""
    least = _steps(result.figures)
    return [row for row in result.baselines if _steps(row.figures) >= least]


def _steps(figures: Mapping[str, Figure]) -> int:
    """Return a network's training steps; results that do not record them used batches of 64."""
    steps, epochs, images = (figures.get(name) for name in ("steps", "epochs", "images"))
    if isinstance(steps, int):
        return steps
    return epochs * ceil(images / 64) if isinstance(epochs, int) and isinstance(images, int) else 0
