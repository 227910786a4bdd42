"""Tables on standard output, notes on standard error, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hmnpack.cli.text import duration, safe, share, size
from hmnpack.schema.stages import TITLES

if TYPE_CHECKING:
    from hmnpack.condensing.estimate import Estimate
    from hmnpack.schema.ledger import Ledger
    from hmnpack.schema.manifest import Budget

PIPE_WIDTH = 100
"""Columns of output that is not a terminal, so that piped output is reproducible."""

LEAST_WIDTH = 40
"""Columns that every table fits without losing a cell."""


def console(*, stderr: bool = False) -> Console:
    """Return a console; without a terminal it is 100 columns wide (or COLUMNS).

    It is never so narrow that the columns of a table would be dropped; serial consoles and
    containers state a width of 0.
    """
    found = Console(stderr=stderr, highlight=False, emoji=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PIPE_WIDTH
    found.width = max(found.width, LEAST_WIDTH)
    return found


def plain(text: object) -> Text:
    """Return any text as one printable line, without interpreting markup."""
    return Text(safe(str(text)))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table of plain text; all columns but the first are right-aligned."""
    made = Table(title=plain(title), title_justify="left", title_style="bold", box=None)
    for index, column in enumerate(columns):
        made.add_column(
            Text(column), justify="right" if index else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        made.add_row(*(plain(cell) for cell in row))
    return made


def facts(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    """Return a table of names and values, without a header."""
    made = Table(
        title=plain(title), title_justify="left", title_style="bold", box=None, show_header=False
    )
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(plain(name), plain(value))
    return made


def ledger_table(ledger: "Ledger", budget: "Budget") -> Table:
    """Return a table of the ledger's rows, their sum, and the share of both budgets."""
    rows: list[Sequence[object]] = [
        (
            *(row.name, row.role, " x ".join(map(str, row.shape)), row.dtype),
            *_sizes(row.elements, row.bytes),
        )
        for row in ledger.rows
    ]
    rows.append(("stored", "", "", "", *_sizes(ledger.floats, ledger.bytes)))
    name = "budget" if budget.ipc is None else f"budget (ipc {budget.ipc})"
    floats = "" if budget.floats is None else f"{budget.floats:,}"
    used = "" if budget.floats is None else share(ledger.floats, budget.floats)
    rows.append((name, "", "", "", floats, f"{budget.bytes:,}"))
    rows.append(("used", "", "", "", used, share(ledger.bytes, budget.bytes)))
    return table("Ledger", ("tensor", "tier", "shape", "type", "floats", "bytes"), rows)


def _sizes(floats: int, size_in_bytes: int) -> tuple[str, str]:
    return f"{floats:,}", f"{size_in_bytes:,}"


def cost_table(title: str, estimate: "Estimate") -> Table:
    """Return a table of the estimated cost of each stage of a run, and the total."""
    rows = [
        (TITLES[stage.stage], f"{stage.flops:.1e}", duration(stage.seconds), size(stage.bytes))
        for stage in estimate.stages
    ]
    total = duration(estimate.seconds)
    rows.append(("total", f"{estimate.flops:.1e}", total, size(estimate.bytes)))
    return table(title, ("stage", "FLOP", "time", "memory (approx.)"), rows)


def print_json(document: Any) -> None:  # noqa: ANN401
    """Write one JSON document to standard output, in ASCII."""
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=False, allow_nan=False) + "\n")
