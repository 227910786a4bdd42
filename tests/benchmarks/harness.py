"""Shared by all benchmarks: command line, timing, a table, and a final line of JSON.

A benchmark is a file beside this one that calls `report` once. `make bench` lists the first line
of its docstring. Run as a script, this file prints that list.
"""

import argparse
import ast
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.machine import commit, machine_facts, without_folders
from hmnpack.schema.result import DataFacts, Figure, Result

FOLDER = Path(__file__).parent
COMMIT = commit()
"""Commit of the running code, read at import: the tree may change during a measurement."""


def parser() -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark, to which one may add its own."""
    options = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    options.add_argument("--data", help="dataset to measure on")
    options.add_argument("--save", type=Path, help="result file to write")
    options.add_argument("--device", default="cpu", help="device to measure on")
    return options


def arguments() -> argparse.Namespace:
    """Return the parsed options: `--data SPEC`, `--save FILE`, `--device NAME`."""
    return parser().parse_args()


def median_seconds(function: Callable[[], object], repeats: int = 7, warm_up: int = 1) -> float:
    """Return the median wall-clock time of a call, in seconds, after warm-up calls."""
    taken = []
    for _ in range(warm_up + repeats):
        begun = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begun)
    return median(taken[warm_up:])


def report(
    figures: Mapping[str, Figure],
    *,
    data: DataFacts | None = None,
    device: str = "cpu",
    seed: int | None = None,
    save: Path | None = None,
) -> None:
    """Print the metrics as a table, then everything as one JSON object on the last line.

    The object is a `hmnpack.schema.result.Result` whose metrics and versions are repeated at the
    top level, where a script that monitors `ratio` finds them.

    Args:
        figures: Metrics by name (with its unit); `ratio` is the headline, `ratio_<variant>` others.
        data: Dataset that was measured on, if any.
        device: Device of the measurement.
        seed: Seed, if anything was random.
        save: File to write the `Result` to.
    """
    name, options = Path(sys.argv[0]).stem, without_folders(sys.argv[1:])
    result = Result(
        name=name,
        command=shlex.join(["python", f"tests/benchmarks/{name}.py", *options]),
        commit=COMMIT,
        seed=seed,
        machine=machine_facts(choose_device(device)),
        data=data,
        figures=dict(figures),
    )
    table = Table("metric", "value", title=name, title_justify="left", box=None)
    for key, value in figures.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console(highlight=False).print(table)
    if save:
        save.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    whole = result.model_dump(mode="json")
    print(json.dumps({**whole, "versions": whole["machine"]["versions"], **figures}))


def benchmarks() -> dict[str, str]:
    """Return the first line of every benchmark's docstring, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem not in ("harness", "conftest") and not path.stem.startswith("test_"):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = text.partition("\n")[0]
    return found


if __name__ == "__main__":
    for name, line in benchmarks().items():
        print(f"{name:16}{line}")
