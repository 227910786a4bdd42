"""Pack a data set, train networks on the result beside every control, and record the table.

    python examples/reproduce/accuracy_table.py --data DATA --label "CIFAR-10 (JPEG)" --ipc 1 \
        --name cifar10-jpeg-ipc1 --work runs/

Four rows: the bundle, random real images in the same floats, JPEG real images in the same bytes,
and the warm-up alone (the same container fitted to real images, with no matching). What is found
in the work folder is not made again, so an interrupted table goes on where it was, and several
processes can each do some of the seeds (`--seeds 1`) before one puts them all together.
"""

import argparse
import json
import time
from pathlib import Path

from record import RESULTS, kept_rows, over_seeds, said, write_result

from hmnpack.bundle import read
from hmnpack.compressor import RunOptions, compress
from hmnpack.evaluation import evaluate
from hmnpack.recipes import recipe_of, shape_of
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import DataFacts, Row
from hmnpack.sources import Source, SourceOptions, open_source

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
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="one network per row for each"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bundle")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for the bundles")
    typed = parser.parse_args()
    typed.work.mkdir(parents=True, exist_ok=True)
    source = open_source(typed.data, SourceOptions(), said)
    config = recipe_of(typed.recipe, shape_of(source)).model_copy(update={"seed": typed.seed})
    still = config.model_copy(update={"match": config.match.model_copy(update={"steps": 0})})
    minutes = _packed(typed, source, config, typed.name)
    _packed(typed, source, still, f"{typed.name}-warm-up")
    for seed in typed.seeds:
        _evaluated(typed, source, typed.name, seed)
    for seed in typed.seeds:
        _evaluated(typed, source, f"{typed.name}-warm-up", seed)
    _record(typed, source, minutes)


def _packed(typed: argparse.Namespace, source: Source, config: CompressConfig, name: str) -> float:
    """Make a bundle if it is not there; return the minutes that it took, pool included."""
    output, timing = typed.work / f"{name}.hmn", typed.work / f"{name}.minutes.json"
    if not output.exists():
        begun = time.monotonic()
        options = RunOptions(device=typed.device, resume=True)
        compress(source, typed.ipc, config=config, output=output, options=options, listener=said)
        timing.write_text(json.dumps((time.monotonic() - begun) / 60))
    return float(json.loads(timing.read_text()))


def _rows_file(typed: argparse.Namespace, name: str, seed: int) -> Path:
    return Path(typed.work / f"{name}.seed-{seed}.json")


def _evaluated(typed: argparse.Namespace, source: Source, name: str, seed: int) -> None:
    """Train one network for each row of a bundle, if that is not done yet."""
    defaults = EvaluateConfig()
    train = defaults.train.model_copy(update={"epochs": typed.epochs})
    changes = {"train": train, "repeats": 1, "seed": seed, "controls": name == typed.name}
    config = defaults.model_copy(update=changes)
    bundle = typed.work / f"{name}.hmn"
    kept_rows(
        _rows_file(typed, name, seed),
        lambda: evaluate(bundle, source, config, device=typed.device, listener=said).rows,
    )


def _rows(typed: argparse.Namespace, name: str) -> list[Row]:
    """Return the rows of a bundle over the seeds that are done."""
    return over_seeds(_rows_file(typed, name, seed) for seed in typed.seeds)


def _record(typed: argparse.Namespace, source: Source, minutes: float) -> None:
    """Write the result."""
    manifest = read(typed.work / f"{typed.name}.hmn").manifest
    headline, *controls = _rows(typed, typed.name)
    controls += [
        row.model_copy(update={"name": WARM_UP}) for row in _rows(typed, f"{typed.name}-warm-up")
    ]
    network = EvaluateConfig().network
    write_result(
        RESULTS,
        device=typed.device,
        typed_data=typed.data,
        name=typed.name,
        recipe=typed.recipe,
        seed=typed.seed,
        data=DataFacts(name=typed.label, fingerprint=source.train.fingerprint),
        minutes=round(minutes, 1),
        accuracy_mean=headline.accuracy_mean,
        accuracy_std=headline.accuracy_std,
        networks=headline.networks,
        controls=tuple(controls),
        figures={
            "ipc": typed.ipc,
            "images": headline.images,
            "floats": manifest.ledger.floats,
            "budget_floats": manifest.budget.floats,
            "network": network.name,
            "width": network.width,
            "epochs": typed.epochs,
        },
    )


if __name__ == "__main__":
    main()
