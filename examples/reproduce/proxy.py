"""Measure a recipe's accuracy without the test split, by one of the accuracy proxies.

    python examples/reproduce/proxy.py --name p1 --data DATA --work runs/
    make proxy NAME=p1 DATA=DATA RECIPE=fast SETTINGS='match.steps=400' TAG=400-steps

The dataset is condensed with a recipe and settings as by `hmnpack compress`, or `--bundle` gives a
file. Networks are then trained from scratch on all decoded images with the paper's training recipe,
for 2,000 steps rounded up to whole epochs, and tested on held-out images. `q2` condenses with three
seeds and `q0` with five, to separate effects from chance.

The work directory caches everything: rerun an interrupted or paused command to resume it. To use
several processes, let each make some of the bundles (`--seed 1`) or train some of the networks
(`--seeds 1`), then run the full command.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from minutes import NOTHING, Spent
from packing import Packing
from record import RESULTS, named, over_seeds, print_progress, write_result
from scoring import Scoring

from hmnpack.bundle import Bundle, read
from hmnpack.condensing.estimate import planned_stages
from hmnpack.errors import HmnError, Paused
from hmnpack.runtime.devices import choose_device
from hmnpack.schema.config import CompressConfig, NetworkConfig
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.result import DataFacts
from hmnpack.settings import CompressSettings, recorded_settings
from hmnpack.sources import Source, SourceOptions, open_source


@dataclass(frozen=True)
class Proxy:
    """A short measurement that predicts the outcome of a longer one.

    Attributes:
        label: Name of the intended dataset in tables.
        width: ConvNet width (channels), for matching and for testing.
        data: The dataset, if it has a name.
        size: Image side in pixels; None: unchanged.
        recipe: Default recipe.
        steps: Minimum training steps of each network.
        batch: Images per step.
        networks: Default number of networks per bundle.
        bundles: Default number of bundles.
        ipc: Budget, in images per class.
        holdout: Fraction of the training split to hold out; None: the recipe's.
    """

    label: str
    width: int
    data: str | None = None
    size: int | None = None
    recipe: str = "fast"
    steps: int = 2000
    batch: int = 128
    networks: int = 3
    bundles: int = 1
    ipc: int = 1
    holdout: float | None = None


PROXIES = {
    "p1": Proxy("CIFAR-10 (JPEG)", width=64),
    "p2": Proxy("Fashion-MNIST", width=64, data="fashion-mnist"),
    "q0": Proxy("digits", width=32, data="digits", steps=1000, batch=64, bundles=5, holdout=0.3),
    "q1": Proxy("CIFAR-10 (JPEG)", width=64, steps=1000, batch=64, networks=2),
    "q2": Proxy("CIFAR-10 (JPEG)", width=32, steps=1000, batch=64, networks=1, bundles=3),
    "p3": Proxy("tiny-imagenet-20", width=32, size=64),
    "p4": Proxy("Fashion-MNIST", width=64, data="fashion-mnist", ipc=10),
    "p5": Proxy("CIFAR-10 (JPEG)", width=64, ipc=10),
    "smoke": Proxy("digits", width=4, data="digits", recipe="smoke", steps=20, batch=64),
}
"""Proxies by name; `smoke` takes seconds and only checks that the command works."""


def main() -> int:
    """Run the proxy given on the command line; return the exit code."""
    args = _arguments()
    try:
        _measure(args, PROXIES[args.name])
    except Paused as pause:
        reason = str(pause).partition(";")[0]
        print(f"{reason}; not evaluated yet, rerun the command to resume", file=sys.stderr)
        return pause.exit_code
    except HmnError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--name", required=True, choices=PROXIES, help="proxy to measure")
    parser.add_argument("--tag", help="suffix of the result's name: p1-TAG")
    parser.add_argument("--data", help="dataset name or path, as for `hmnpack compress`")
    parser.add_argument("--label", help="dataset name in tables")
    parser.add_argument("--size", type=int, help="image side in pixels")
    parser.add_argument("--recipe", help="base recipe")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable"
    )
    parser.add_argument("--bundle", type=Path, help="evaluate this existing file")
    parser.add_argument(
        "--seed",
        type=int,
        nargs="+",
        help="seeds of the bundles [default: 0; q2: 0 1 2; q0: 0 to 4]",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        help="seeds of the networks [default: 0 1 2; q1: 0 1; q2: 0]",
    )
    parser.add_argument(
        "--stop-after-minutes",
        type=float,
        help="pause condensing after this many minutes; rerun to resume",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    args = parser.parse_args()
    proxy = PROXIES[args.name]
    if args.bundle and (args.recipe or args.set or args.seed):
        parser.error("--bundle is evaluated as it is; omit --recipe, --set and --seed")
    args.data = args.data or proxy.data
    args.seed = args.seed or list(range(1 if args.bundle else proxy.bundles))
    args.seeds = args.seeds or list(range(proxy.networks))
    if args.data is None:
        parser.error(f"{args.name} needs --data: {proxy.label}")
    return args


@dataclass(frozen=True)
class _Run:
    """A bundle, the resources it took, and the files of the networks trained on it.

    Attributes:
        scoring: How the bundle is evaluated.
        files: Result file of each network, by seed.
        minutes: Resources by part of condensing; empty for a given file.
    """

    scoring: Scoring
    files: dict[int, Path]
    minutes: dict[str, Spent]


def _measure(args: argparse.Namespace, proxy: Proxy) -> None:
    """Condense, evaluate, and write the result."""
    args.work.mkdir(parents=True, exist_ok=True)
    name = named(args.name, args.tag)
    source = open_source(args.data, SourceOptions(size=args.size or proxy.size), print_progress)
    runs = [_run(args, proxy, source, name, seed) for seed in args.seed]
    schedule = runs[0].scoring.schedule
    print(
        f"scoring: {len(runs) * len(args.seeds)} x {schedule.total:,} steps ({schedule.epochs} "
        f"epochs of {schedule.steps})",
        file=sys.stderr,
    )
    _record(args, name, runs)


def _run(args: argparse.Namespace, proxy: Proxy, source: Source, name: str, seed: int) -> _Run:
    """Condense the bundle of a seed, or read the given one."""
    minutes: dict[str, Spent] = {}
    if args.bundle:
        bundle = read(args.bundle)
    else:
        config = _settings(args, proxy, source, seed)
        output = args.work / (f"{name}.bundle-{seed}.hmn" if seed else f"{name}.hmn")
        packing = Packing(source, proxy.ipc, config, output, args.device)
        bundle = packing.bundle(args.stop_after_minutes)
        minutes = packing.minutes()
    network = NetworkConfig(width=proxy.width)
    scoring = Scoring(bundle, source, network, proxy.steps, proxy.batch, args.device)
    files = {seed: _rows_file(args.work, name, bundle, seed) for seed in args.seeds}
    return _Run(scoring, files, minutes)


def _settings(args: argparse.Namespace, proxy: Proxy, source: Source, seed: int) -> CompressConfig:
    """Return the settings: the recipe's, the proxy's width, then the command line's."""
    own = [f"{stage}.network.width={proxy.width}" for stage in ("pool", "gradient")]
    if proxy.holdout is not None:
        own.append(f"holdout={proxy.holdout}")
    recipe, options = args.recipe or proxy.recipe, {"seed": seed}
    return CompressSettings(recipe, None, [*own, *args.set], options).config(source.shape)


def _record(args: argparse.Namespace, name: str, runs: list[_Run]) -> None:
    """Train the networks without a result file, and write the combined result."""
    rows = [run.scoring.row(run.files) for run in runs]
    means = [row.accuracy_mean for row in rows]
    std = stdev(means) if len(means) > 1 else rows[0].accuracy_std
    scoring = runs[0].scoring
    manifest, schedule = scoring.bundle.manifest, scoring.schedule
    minutes = _minutes_each(runs)
    write_result(
        RESULTS,
        device=args.device,
        typed_data=args.data,
        name=name,
        recipe=manifest.recipe,
        seed=manifest.seed,
        data=DataFacts(name=_label(args), fingerprint=manifest.source.fingerprint),
        minutes=round(sum(minutes.values(), NOTHING).clock, 3) if minutes else None,
        accuracy_mean=mean(means),
        accuracy_std=std,
        networks=sum(row.networks for row in rows),
        figures={
            "proxy": args.name,
            "tested_on": f"{manifest.source.held_out} held-out images of the training split",
            "settings": " ".join(args.set),
            "ipc": manifest.budget.ipc,
            "images": rows[0].images,
            "floats": manifest.ledger.floats,
            "network": scoring.network.name,
            "width": scoring.network.width,
            "batch": scoring.batch,
            "epochs": schedule.epochs,
            "steps": schedule.total,
            "bundles": len(runs),
            **{f"minutes_{part}": round(spent.clock, 3) for part, spent in minutes.items()},
            **{f"processor_minutes_{p}": round(spent.processor, 3) for p, spent in minutes.items()},
            **_arithmetic(args, runs[0], minutes),
            **_accuracies(args.seed, runs),
        },
    )
    print(f"{mean(means):.1f} +- {std:.1f}")


def _minutes_each(runs: list[_Run]) -> dict[str, Spent]:
    """Return the mean resources used to condense one bundle, by part."""
    return {
        part: sum((run.minutes[part] for run in runs), NOTHING) / len(runs)
        for part in runs[0].minutes
    }


def _arithmetic(args: argparse.Namespace, run: _Run, minutes: dict[str, Spent]) -> dict[str, float]:
    """Return the FLOPs of condensing one bundle, including the pool, and the peak memory."""
    manifest = run.scoring.bundle.manifest
    config = recorded_settings(manifest)
    if not minutes or config is None or not isinstance(manifest.container, HmnSpec):
        return {}
    images, device = manifest.source.train_images, choose_device(args.device)
    ipc = manifest.nearest_ipc
    stages = planned_stages(config, manifest.container, images, device, ipc=ipc)
    figures = {"peak_gb": round(sum(minutes.values(), NOTHING).peak_gb, 2)}
    return {"flops_packing": sum(stage.flops for stage in stages), **figures}


def _accuracies(seeds: list[int], runs: list[_Run]) -> dict[str, float]:
    """Return the accuracy of every network, by its seed and, for several bundles, theirs."""
    found = {}
    for bundle, run in zip(seeds, runs, strict=True):
        of_bundle = f"_bundle_{bundle}" if len(runs) > 1 else ""
        for seed, path in run.files.items():
            found[f"accuracy{of_bundle}_seed_{seed}"] = _accuracy(path)
    return found


def _rows_file(work: Path, name: str, bundle: Bundle, seed: int) -> Path:
    return work / f"{name}-{bundle.manifest.data_sha256[:8]}.seed-{seed}.json"


def _label(args: argparse.Namespace) -> str:
    """Return the dataset name in tables, by default that of the intended dataset."""
    return str(args.label or PROXIES[args.name].label)


def _accuracy(path: Path) -> float:
    return over_seeds([path])[0].accuracy_mean


if __name__ == "__main__":
    sys.exit(main())
