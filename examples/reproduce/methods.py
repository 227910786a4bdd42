"""Table 2: methods of dataset condensation at equal CPU minutes, on one core.

    python examples/reproduce/methods.py --data DATA --minutes 25 --work runs/
    make reproduce-table2 DATA=DATA MINUTES=25

Every recipe runs for the minutes given, with what it trains on real images (pools, queues, expert
trajectories): `fast`, `haba` and `linba` by `compress --minutes`, the others for as many iterations
as short runs of them say. Beside them: random real images in the same floats, and real images as
JPEG in the bytes of plain images and in those of `fast`. The result is written after each cell;
rerun an interrupted command to resume it.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from cells import Table, measured, opened, parser_of
from comparisons import REAL, RECIPES, TABLE_2
from fitting_to_time import Trials, fitted_to, on_processor_time
from packing import Packing
from record import named, print_progress

from hmnpack.bundle import Bundle
from hmnpack.errors import HmnError
from hmnpack.evaluation.baselines import Material, baseline_rows
from hmnpack.evaluation.run import bench_of
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.given import assigned_values
from hmnpack.runtime.kept import Store
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.names import BaselineRow
from hmnpack.schema.result import Figure, Row
from hmnpack.settings import merged, recipe_of

BUDGETS: dict[str, tuple[BaselineRow, str]] = {
    "random": ("floats", "dsa"),
    "jpeg": ("bytes", "dsa"),
    "jpeg-fast": ("bytes", "fast"),
}
"""Row of real images -> its kind, and the recipe whose file sets its budget: `dsa` stores plain
images as 32-bit floats."""

RIVAL_PREFIX = "rival."
"""Prefix of settings that only methods to compare with have."""


def main() -> int:
    """Measure the cells; return the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=25, help="CPU minutes per recipe")
    parser.add_argument("--ipc", type=int, default=1, help="budget in images per class")
    args = parser.parse_args()
    return measured("methods", partial(_table, args))


def _table(args: argparse.Namespace) -> Table:
    return Table(
        args=args,
        source=opened(args),
        name=named(TABLE_2, args.tag),
        title="Table 2: methods at equal CPU minutes",
        facts={"ipc": args.ipc, "minutes_each": args.minutes},
        cells=(*RECIPES, *REAL),
        make=_row,
    )


def _row(table: Table, cell: str) -> Row:
    """Return the row of a recipe, or of real images."""
    if cell in BUDGETS:
        return _real_row(table, cell)
    packing = _packing(table, cell)
    bundle = _bundle(packing)
    row = table.evaluated(bundle, cell, table.args.ipc)
    return row.model_copy(update={"figures": row.figures | _minutes(table, packing)})


def _packing(table: Table, recipe: str) -> Packing:
    """Return the run of a recipe, fitted to the minutes; its files have a folder of their own."""
    args, config = table.args, _config(table, recipe)
    digest = table.digest(config.model_dump_json(), args.ipc, args.minutes)
    folder = table.work / f"{recipe}-{digest}"
    folder.mkdir(exist_ok=True)
    fitted_to = None if config.rival else args.minutes
    if config.rival:
        config = _fitted(table, config, folder)
    return Packing(
        *(table.source, args.ipc, config, folder / f"{recipe}.hmn", args.device),
        fitted_to=fitted_to,
    )


def _bundle(packing: Packing) -> Bundle:
    with on_processor_time():
        return packing.bundle(None)


def _config(table: Table, recipe: str) -> CompressConfig:
    """Return the recipe's settings, with the command line's; `rival.` ones are of rivals alone."""
    config = recipe_of(recipe, table.source.shape, table.args.ipc)
    given = [
        text
        for text in table.condensing_settings()
        if config.rival or not text.startswith(RIVAL_PREFIX)
    ]
    return merged(config, assigned_values([f"seed={table.args.seed}", *given]))


def _fitted(table: Table, config: CompressConfig, folder: Path) -> CompressConfig:
    """Return the settings of the run, which the work directory keeps once they are fitted."""
    path, args = folder / "fitted.json", table.args
    if not path.exists():
        trials = Trials(table.source, args.ipc, folder, args.device, print_progress)
        found = fitted_to(args.minutes, config, trials)
        write_atomically(path, found.model_dump_json().encode(), force=True)
    return CompressConfig.model_validate_json(path.read_bytes())


def _minutes(table: Table, packing: Packing) -> dict[str, Figure]:
    """Return the minutes of a run, with the experts and the pool that it needed."""
    args, folder = table.args, packing.output.parent
    spent = packing.minutes()
    experts = Trials(table.source, args.ipc, folder, args.device).experts
    whole = sum(spent.values(), experts.of(experts.stages))
    return {
        "minutes": round(whole.clock, 4),
        "processor_minutes": round(whole.processor, 4),
        "peak_gb": round(whole.peak_gb, 2),
    }


def _real_row(table: Table, cell: str) -> Row:
    """Return the row of real images within the budget that a recipe's file sets.

    The networks are trained for as many steps as those of that file.
    """
    kind, recipe = BUDGETS[cell]
    bundle = _bundle(_packing(table, recipe))
    protocol = table.protocol(table.args.ipc)
    protocol = protocol.model_copy(update={"baselines": True, "rows": (kind,)})
    device = choose_device(table.args.device)
    bench = bench_of(bundle.manifest, table.source, protocol, device, print_progress)
    bench = replace(bench, store=Store(table.work / "networks"))
    found = baseline_rows(bench, Material(table.source, bundle.manifest, table.work))
    if not found:
        raise HmnError(f"{recipe}.hmn is too small for one JPEG image of every class")
    return found[0].model_copy(update={"name": cell})


if __name__ == "__main__":
    sys.exit(main())
