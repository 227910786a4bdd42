"""Shared by tables 2 and 3: options, and cells that are condensed, evaluated and recorded."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time

import torch
from assignments import add_settings_option, condensing_of, evaluation_of
from record import COMMIT, RESULTS, cached_rows, print_progress, write_result

from hmnpack.bundle import Bundle
from hmnpack.errors import BadSettings, HmnError
from hmnpack.evaluation import evaluate
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.kept import digest_of
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import DataFacts, Figure, Row
from hmnpack.schema.stages import stages_of
from hmnpack.settings import evaluate_config, protocol_for, recorded_settings
from hmnpack.sources import Source, SourceOptions, open_source


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that both tables have.

    Args:
        text: Docstring of the script.
    """
    parser = argparse.ArgumentParser(description=(text or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True, help="as for `hmnpack compress`")
    parser.add_argument("--label", help="dataset name in the result [default: its own name]")
    parser.add_argument("--size", type=int, help="image side in pixels")
    parser.add_argument("--only", nargs="+", help="cells to measure [default: all]")
    add_settings_option(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1, help="networks per cell")
    parser.add_argument("--tag", help="suffix of the result's name")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    return parser


@dataclass(frozen=True)
class Table:
    """A table in the making.

    Attributes:
        args: The command line.
        source: The dataset.
        name: Name of the result.
        title: Heading of the result.
        facts: What decides the result of every cell, besides data and protocol; recorded.
        cells: Names of its cells, in order; a result names those that are open.
        make: Measures one cell, resuming what an interrupted command began.
    """

    args: argparse.Namespace
    source: Source
    name: str
    title: str
    facts: Mapping[str, Figure]
    cells: Sequence[str]
    make: Callable[["Table", str], Row]

    @property
    def work(self) -> Path:
        """The work directory of this table."""
        return Path(self.args.work)

    def condensing_settings(self) -> list[str]:
        """Return the settings of condensing on the command line."""
        return condensing_of(self.args.set)

    def protocol(self, ipc: int) -> EvaluateConfig:
        """Return the settings of evaluation: `short` without baselines, and the command line's."""
        changes = {"repeats": self.args.repeats, "baselines": False, "seed": self.args.seed}
        base = protocol_for("short", self.source.shape, ipc)
        return evaluate_config(evaluation_of(self.args.set), changes, base)

    def digest(self, *facts: object) -> str:
        """Return a hash of facts, the dataset and the kind of device."""
        kind = kind_of(choose_device(self.args.device))
        return digest_of(self.source.train.fingerprint, kind, *facts)[:16]

    def evaluated(self, bundle: Bundle, cell: str, ipc: int) -> Row:
        """Return the row of networks trained on a bundle, with what the bundle stores.

        Trained networks are cached in the work directory.
        """
        begun = process_time()
        found = evaluate(
            bundle,
            self.source,
            self.protocol(ipc),
            device=self.args.device,
            work=self.work / "networks",
            listener=print_progress,
        )
        manifest = bundle.manifest
        figures: dict[str, Figure] = {
            "container": manifest.container.kind.partition("/")[0],
            "floats": manifest.ledger.floats,
            "budget_floats": manifest.budget.floats,
            "processor_minutes_evaluation": round((process_time() - begun) / 60, 3),
            **steps_of(recorded_settings(manifest)),
        }
        row = found.rows[0]
        return row.model_copy(update={"name": cell, "figures": row.figures | figures})

    def rows(self) -> list[Row]:
        """Return the rows of all cells that are measured, in the table's order."""
        files = [self._file(cell) for cell in self.cells]
        found = [json.loads(path.read_text()) for path in files if path.exists()]
        return [Row.model_validate(row) for rows in found for row in rows]

    def measure(self) -> int:
        """Measure the cells that are missing, writing the result after each; return the exit code.

        A cell that fails is reported, and the others are measured.
        """
        failed = 0
        for cell in self._wanted():
            print(f"{self.name}: {cell}", file=sys.stderr, flush=True)
            reason = self._reason(cell)
            try:
                cached_rows(self._file(cell), partial(self._made, cell))
                reason.unlink(missing_ok=True)
            except HmnError as error:
                failed = error.exit_code
                reason.write_text(str(error), encoding="utf-8")
                print(f"{self.name}: {cell}: {error}", file=sys.stderr, flush=True)
            self._write()
        return failed

    def _wanted(self) -> Sequence[str]:
        unknown = set(self.args.only or ()) - set(self.cells)
        if unknown:
            raise BadSettings(
                f"no cell {min(unknown)!r} in {self.name}; there are {', '.join(self.cells)}"
            )
        return [cell for cell in self.cells if cell in (self.args.only or self.cells)]

    def _made(self, cell: str) -> list[Row]:
        row = self.make(self, cell)
        return [row.model_copy(update={"figures": row.figures | {"commit": COMMIT}})]

    def _file(self, cell: str) -> Path:
        protocol = self.protocol(1).model_dump_json()
        facts = sorted((name, repr(value)) for name, value in self.facts.items())
        digest = self.digest(cell, facts, protocol, self.condensing_settings(), self.args.seed)
        return self.work / f"{self.name}-{cell}-{digest}.json"

    def _reason(self, cell: str) -> Path:
        """Return the file with the reason why a cell could not be measured."""
        return self._file(cell).with_suffix(".failed")

    def _write(self) -> None:
        """Write the result of all cells measured so far, if there are any."""
        rows = self.rows()
        if not rows:
            return
        protocol = self.protocol(1)
        write_result(
            RESULTS,
            device=self.args.device,
            typed_data=self.args.data,
            name=self.name,
            seed=self.args.seed,
            data=DataFacts(
                name=self.args.label or self.source.name,
                fingerprint=self.source.train.fingerprint,
            ),
            protocol=protocol,
            baselines=tuple(rows),
            figures={
                "title": self.title,
                **self.facts,
                "protocol": "short",
                "settings": " ".join(self.args.set),
                "open": " ".join(cell for cell in self.cells if not self._file(cell).exists()),
                **self._failures(),
            },
        )

    def _failures(self) -> dict[str, Figure]:
        files = {cell: self._reason(cell) for cell in self.cells}
        return {f"failed_{cell}": path.read_text() for cell, path in files.items() if path.exists()}


def measured(script: str, make: Callable[[], Table]) -> int:
    """Measure a table; return the exit code, after an error with its line.

    Args:
        script: Name of the script, for messages.
        make: Opens the dataset and returns the table.
    """
    try:
        return make().measure()
    except HmnError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return error.exit_code


def opened(args: argparse.Namespace) -> Source:
    """Open the dataset, and compute with one thread from now on."""
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    return open_source(args.data, SourceOptions(size=args.size), print_progress)


def steps_of(config: CompressConfig) -> dict[str, Figure]:
    """Return the steps of the last stage that fits the container, and its networks' width."""
    stage = [one for one in stages_of(config) if one.steps][-1]
    network = stage.network or config.pool.network
    found: dict[str, Figure] = {"steps": stage.steps, "width": network.width}
    if config.rival is not None:
        found["iterations"] = config.rival.iterations
        experts = getattr(config.rival, "experts", None)
        return found | ({"experts": experts} if experts else {})
    if stage.uses_pool:
        found["pool"] = config.pool.size
    return found
