"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with a line for the heads, one below it, and one for each row."""
    lines = (columns, *rows)
    head, *body = (f"| {' | '.join(cells)} |\n" for cells in lines)
    return "".join((head, "|" + "---|" * len(columns) + "\n", *body))
