"""Markdown tables and the accuracies in them."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from hmnpack.schema.result import Row


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (columns, *rows)
    head, *body = (f"| {' | '.join(cells)} |\n" for cells in lines)
    return "".join((head, "|" + "---|" * len(columns) + "\n", *body))


def paragraph(text: str) -> str:
    """Return a paragraph or list item, wrapped at 100 columns."""
    indent = "  " if text.startswith("- ") else ""
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return fill(text, 100, subsequent_indent=indent, **whole) + "\n"


def accuracy(
    mean: float | None, std: float | None, networks: int | None, bold: bool = False
) -> str:
    """Return a mean accuracy in percent, with the standard deviation if there are several networks.

    Args:
        mean: Mean in percent; None: not measured.
        std: Sample standard deviation in points; ignored for a single network.
        networks: Number of networks; None: one.
        bold: Whether to print the mean in bold.
    """
    if mean is None:
        return "-"
    shown = f"**{mean:.1f}**" if bold else f"{mean:.1f}"
    return shown if (networks or 1) < 2 else f"{shown} &plusmn; {std or 0:.1f}"


def baseline(rows: Iterable[Row], words: str) -> str:
    """Return the accuracy of the first row whose name contains `words`, or a dash."""
    for row in rows:
        if words in row.name:
            return accuracy(row.accuracy_mean, row.accuracy_std, row.networks)
    return "-"


def interval(half: float | None) -> str:
    """Return half the width of a 95 % interval in points, or a dash if it is unknown."""
    return "-" if half is None else f"&plusmn; {half:.1f}"
