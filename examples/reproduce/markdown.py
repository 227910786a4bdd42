"""Tables in Markdown, and the accuracies in them."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from hmnpack.schema.result import Row


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with a line for the heads, one below it, and one for each row."""
    lines = (columns, *rows)
    head, *body = (f"| {' | '.join(cells)} |\n" for cells in lines)
    return "".join((head, "|" + "---|" * len(columns) + "\n", *body))


def paragraph(text: str) -> str:
    """Return a paragraph, or an item of a list, in lines of at most 100 columns."""
    indent = "  " if text.startswith("- ") else ""
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return fill(text, 100, subsequent_indent=indent, **whole) + "\n"


def accuracy(
    mean: float | None, std: float | None, networks: int | None, bold: bool = False
) -> str:
    """Return a mean accuracy in percent, with the deviation over networks where there are several.

    Args:
        mean: In percent.
        std: Sample deviation in points, which one network has not.
        networks: How many; None: one.
        bold: Whether the mean is to stand out.
    """
    if mean is None:
        return "-"
    shown = f"**{mean:.1f}**" if bold else f"{mean:.1f}"
    return shown if (networks or 1) < 2 else f"{shown} &plusmn; {std or 0:.1f}"


def baseline(rows: Iterable[Row], words: str) -> str:
    """Return the accuracy of the first row that has some words in its name, or a dash."""
    for row in rows:
        if words in row.name:
            return accuracy(row.accuracy_mean, row.accuracy_std, row.networks)
    return "-"


def interval(half: float | None) -> str:
    """Return half the width of a 95 % interval in points, or a dash where it is not known."""
    return "-" if half is None else f"&plusmn; {half:.1f}"
