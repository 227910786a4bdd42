"""Pack a data set, train networks on the result beside every control, and record the table.

    python examples/reproduce/accuracy_table.py --data DATA --label "CIFAR-10 (JPEG)" --ipc 1 \
        --name cifar10-jpeg-ipc1 --work runs/

Four rows: the bundle, random real images in the same floats, JPEG real images in the same bytes,
and the warm-up alone (the same container fitted to real images, with no matching). What is found
in the work folder is not made again, so an interrupted table goes on where it was.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

from hmnpack.bundle import read
from hmnpack.compressor import RunOptions, compress, recipe_of
from hmnpack.evaluation import Evaluation, evaluate
from hmnpack.measure import commit, machine_facts
from hmnpack.schema.config import CompressConfig, EvaluateConfig
from hmnpack.schema.result import DataFacts, Result, Row
from hmnpack.sources import Source, SourceOptions, open_source

RESULTS = Path(__file__).parent / "results"
WARM_UP = "warm-up alone"


def main() -> None:
    """Run the table that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="what `hmnpack compress` takes")
    parser.add_argument("--label", required=True, help="name of the data in tables")
    parser.add_argument("--name", required=True, help="name of the result file")
    parser.add_argument("--ipc", type=int, required=True, help="budget, images per class")
    parser.add_argument("--recipe", default="fast", help="settings to start from")
    parser.add_argument("--epochs", type=int, default=300, help="of every network")
    parser.add_argument("--repeats", type=int, default=3, help="networks per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for the bundles")
    typed = parser.parse_args()
    typed.work.mkdir(parents=True, exist_ok=True)
    source = open_source(typed.data, SourceOptions(), _said)
    config = recipe_of(typed.recipe).model_copy(update={"seed": typed.seed})
    still = config.model_copy(update={"match": config.match.model_copy(update={"steps": 0})})
    minutes = _packed(typed, source, config, typed.name)
    _packed(typed, source, still, f"{typed.name}-warm-up")
    for name, controls in ((typed.name, True), (f"{typed.name}-warm-up", False)):
        _evaluated(typed, source, name, controls)
        _record(typed, source, minutes)


def _packed(typed: argparse.Namespace, source: Source, config: CompressConfig, name: str) -> float:
    """Make a bundle if it is not there; return the minutes that it took, pool included."""
    output, timing = typed.work / f"{name}.hmn", typed.work / f"{name}.minutes.json"
    if not output.exists():
        begun = time.monotonic()
        options = RunOptions(device=typed.device, resume=True)
        compress(source, typed.ipc, config=config, output=output, options=options, listener=_said)
        timing.write_text(json.dumps((time.monotonic() - begun) / 60))
    return float(json.loads(timing.read_text()))


def _evaluated(typed: argparse.Namespace, source: Source, name: str, controls: bool) -> None:
    """Train the networks of a bundle's rows if they are not recorded yet."""
    path = typed.work / f"{name}.rows.json"
    if path.exists():
        return
    defaults = EvaluateConfig()
    train = defaults.train.model_copy(update={"epochs": typed.epochs})
    changes = {"train": train, "repeats": typed.repeats, "controls": controls, "seed": typed.seed}
    found = evaluate(
        typed.work / f"{name}.hmn",
        source,
        defaults.model_copy(update=changes),
        device=typed.device,
        listener=_said,
    )
    path.write_text(json.dumps(_plain(found, controls)))


def _plain(found: Evaluation, is_bundle: bool) -> list[dict[str, object]]:
    first = found.rows[0] if is_bundle else found.rows[0].model_copy(update={"name": WARM_UP})
    return [row.model_dump(mode="json") for row in (first, *found.rows[1:])]


def _record(typed: argparse.Namespace, source: Source, minutes: float) -> None:
    """Write the result with the rows that there are so far."""
    rows: list[Row] = []
    for name in (typed.name, f"{typed.name}-warm-up"):
        path = typed.work / f"{name}.rows.json"
        if path.exists():
            rows += [Row.model_validate(row) for row in json.loads(path.read_text())]
    manifest = read(typed.work / f"{typed.name}.hmn").manifest
    headline = rows[0]
    result = Result(
        name=typed.name,
        recipe=typed.recipe,
        command=shlex.join(["python", "examples/reproduce/accuracy_table.py", *sys.argv[1:]]),
        commit=commit(),
        seed=typed.seed,
        machine=machine_facts(typed.device if typed.device != "auto" else "cpu"),
        data=DataFacts(name=typed.label, fingerprint=source.train.fingerprint),
        minutes=round(minutes, 1),
        accuracy_mean=headline.accuracy_mean,
        accuracy_std=headline.accuracy_std,
        networks=headline.networks,
        controls=tuple(rows[1:]),
        figures={
            "images": headline.images,
            "floats": manifest.ledger.floats,
            "budget_floats": manifest.budget.floats,
            "epochs": typed.epochs,
            "network": "ConvNet-3, width 128",
        },
    )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{typed.name}.json"
    path.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(path)


def _said(stage: str, done: int, total: int, **facts: float) -> None:
    """Print a line at every twentieth of a stage."""
    if done == total or done % max(1, total // 20) == 0:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in facts.items())
        print(f"{stage}: {done}/{total}  {figures}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
