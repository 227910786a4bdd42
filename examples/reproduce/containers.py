"""Table 3: all containers under one objective, at equal floats and equal steps.

    python examples/reproduce/containers.py --data DATA --scale 0.25 --work runs/
    make reproduce-table3 DATA=DATA SCALE=0.25

A cell is an objective, a budget and a container, such as `features-1-hmn`. The objectives are
gradient matching (recipe `paper` without pruning, with narrow networks) and our own feature
matching (recipe `fast`); Adam has the same learning rate for every container. The containers of a
budget share the pool. `--scale` is a fraction of the steps in `SETTINGS`. The result is written
after each cell; rerun an interrupted command to resume it.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from cells import Table, measured, opened, parser_of
from comparisons import IPCS, TABLE_3, Cell, cells_of
from packing import Packing
from record import named

from hmnpack.condensing.minutes import views_of
from hmnpack.condensing.scale import scaled
from hmnpack.runtime.given import assigned_values
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.result import Figure, Row
from hmnpack.settings import merged, recipe_of


@dataclass(frozen=True)
class Objective:
    """An objective at scale 1: a recipe, and what differs from it."""

    recipe: str
    settings: Mapping[str, object]


SETTINGS = {
    "gradient": Objective(
        "paper",
        {
            "prune.strategy": "none",
            "warmup.steps": 300,
            "gradient.network.width": 32,
            "gradient.networks": 24,
            "gradient.inner_steps": 20,
        },
    ),
    "features": Objective("fast", {}),
}


def main() -> int:
    """Measure the cells; return the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the steps")
    parser.add_argument("--ipc", type=int, nargs="+", default=IPCS, help="budgets")
    args = parser.parse_args()
    return measured("containers", partial(_table, args))


def _table(args: argparse.Namespace) -> Table:
    cells = cells_of(tuple(args.ipc))
    return Table(
        args=args,
        source=opened(args),
        name=named(TABLE_3, args.tag),
        title="Table 3: containers under one objective",
        facts={"scale": args.scale},
        cells=tuple(cells),
        make=partial(_row, cells),
    )


def _row(cells: Mapping[str, Cell], table: Table, cell: str) -> Row:
    objective, ipc, kind = cells[cell]
    config = _config(table, objective, ipc, kind)
    digest = table.digest(config.model_dump_json(), ipc)
    output = table.work / f"{cell}-{digest}.hmn"
    packing = Packing(table.source, ipc, config, output, table.args.device)
    row = table.evaluated(packing.bundle(None), cell, ipc)
    spent = packing.minutes()
    found: dict[str, Figure] = {
        "ipc": ipc,
        "objective": objective,
        "minutes": round(spent["after_pool"].clock, 4),
        "processor_minutes": round(spent["after_pool"].processor, 4),
        "processor_minutes_pool": round(spent["pool"].processor, 4),
        "peak_gb": round(spent["after_pool"].peak_gb, 2),
    }
    return row.model_copy(update={"figures": row.figures | found})


def _config(table: Table, objective: str, ipc: int, kind: str) -> CompressConfig:
    """Return the settings of a cell; views recur as often as in a run of `--minutes`."""
    one, given = SETTINGS[objective], assigned_values(table.condensing_settings())
    base = recipe_of(one.recipe, table.source.shape, ipc)
    own = {"seed": table.args.seed, "container.kind": kind}
    config = scaled(merged(base, one.settings, given, own), table.args.scale)
    views = views_of(config.match, config.match.steps, config.match.views)
    match = config.match.model_copy(update={"views": views})
    return config.model_copy(update={"match": match})


if __name__ == "__main__":
    sys.exit(main())
