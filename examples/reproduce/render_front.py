"""The front page's table: a row for each file that is shipped, beside real images of its budget."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path

import markdown

from hmnpack.bundle import inspect
from hmnpack.page.numbers import SPACE, size
from hmnpack.schema.result import Figure, Result, Row

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RESULTS_LINK, BUNDLES_LINK = "examples/reproduce/results", "examples/bundles"
"""The folders, as seen from the front page."""

BY_PAPER = "-paper"
"""What ends the name of a shipped file's result by protocol `paper`."""

COLUMNS = (
    *("data", "IPC", "stored", "images"),
    *("condensed", "by the paper's protocol", "the paper"),
    *("random real, same floats", "JPEG real, same bytes", "packed in"),
)


def table(found: Mapping[str, Result]) -> str:
    """Return the table in Markdown.

    Args:
        found: All results of test accuracy, by the name of their file without its ending.
    """
    return markdown.table(COLUMNS, (_cells(name, found) for name in shipped(found)))


def shipped(found: Mapping[str, Result]) -> list[str]:
    """Return the names of the results of shipped files, which have the files' names."""
    files = {path.stem for path in BUNDLES.glob("*.hmn")}
    return [name for name in found if name in files]


def packed_in(result: Result) -> str:
    """Return how long one core took to pack the file, the pool's networks included."""
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
    """Return an accuracy that leads to its result, and of how many networks it is."""
    shown = markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks, bold)
    return f"[{shown}]({RESULTS_LINK}/{name}.json) ({result.networks})"


def _comparable(result: Result) -> list[Row]:
    """Return the rows of real images that were trained for as many steps as the file's, or more."""
    least = _steps(result.figures)
    return [row for row in result.baselines if _steps(row.figures) >= least]


def _steps(figures: Mapping[str, Figure]) -> int:
    """Return the steps of a network; where a result does not say, its batches were of 64."""
    steps, epochs, images = (figures.get(name) for name in ("steps", "epochs", "images"))
    if isinstance(steps, int):
        return steps
    return epochs * ceil(images / 64) if isinstance(epochs, int) and isinstance(images, int) else 0
