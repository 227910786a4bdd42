"""Measure how good a recipe is without the test split: the accuracy proxies, one command each.

    python examples/reproduce/proxy.py --name p1 --data DATA --work runs/
    make proxy NAME=p1 DATA=DATA RECIPE=fast SETTINGS='match.steps=400' TAG=400-steps

The data set is packed by a recipe and settings, as `hmnpack compress` would (or `--bundle` names a
file); then networks are trained from scratch on all decoded images by the paper's training recipe,
for 2,000 steps or as few more as make whole epochs, and tested on the part of train that was held
out of the packing. `q2` packs three times, `q0` five times, with other seeds: how much a choice
matters beside chance. What is found in the work folder is not made again: an interrupted or paused
run goes on where it was, and several processes can each make some of the bundles (`--seed 1`) or
train some of the networks (`--seeds 1`) before one puts them together.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from minutes import NOTHING, Spent
from packing import Packing
from record import RESULTS, over_seeds, said, write_result
from scoring import Scoring

from hmnpack.bundle import Bundle, read
from hmnpack.cli.settings import CompressSettings
from hmnpack.errors import HmnError, Paused
from hmnpack.estimate import planned_stages
from hmnpack.recipes import shape_of
from hmnpack.runtime import choose_device
from hmnpack.schema.config import CompressConfig, NetworkConfig
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.result import DataFacts
from hmnpack.sources import Source, SourceOptions, open_source


@dataclass(frozen=True)
class Proxy:
    """A measurement that stands for a longer one.

    Attributes:
        label: Name in tables of the data that it is meant for.
        width: Channels of every ConvNet: those matched through, and those that are tested.
        data: The data set, where a name is enough for it.
        size: Side that images are brought to, or None.
        recipe: Settings to start from, where none are named.
        steps: Fewest training steps of each network.
        batch: Images per step.
        networks: How many are trained on each bundle, where no seeds are named.
        bundles: How many are packed, where no seed is named.
        ipc: Budget, in images per class.
        holdout: Part of train that is held out, where it is not the recipe's.
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
"""By name; `smoke` takes seconds, and shows that the command works."""


def main() -> int:
    """Measure what the command line asks for; return the exit code."""
    typed = _arguments()
    try:
        _measure(typed, PROXIES[typed.name])
    except Paused as pause:
        reason = str(pause).partition(";")[0]
        print(f"{reason}; nothing is scored yet, the same command goes on", file=sys.stderr)
        return pause.exit_code
    except HmnError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--name", required=True, choices=PROXIES, help="which proxy")
    parser.add_argument("--tag", help="ends the result's name: p1-TAG")
    parser.add_argument("--data", help="what `hmnpack compress` takes")
    parser.add_argument("--label", help="name of the data in tables")
    parser.add_argument("--size", type=int, help="side of the images, in pixels")
    parser.add_argument("--recipe", help="settings to start from")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable"
    )
    parser.add_argument("--bundle", type=Path, help="score this file; pack nothing")
    parser.add_argument(
        "--seed",
        type=int,
        nargs="+",
        help="one bundle for each [default: 0; q2: 0 1 2; q0: 0 to 4]",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="one network for each [default: 0 1 2; q1: 0 1; q2: 0]"
    )
    parser.add_argument(
        "--stop-after-minutes", type=float, help="pause packing after so many; go on next time"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for the bundles")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    typed = parser.parse_args()
    proxy = PROXIES[typed.name]
    if typed.bundle and (typed.recipe or typed.set or typed.seed):
        parser.error("--bundle is scored as it is; leave out --recipe, --set and --seed")
    typed.data = typed.data or proxy.data
    typed.seed = typed.seed or list(range(1 if typed.bundle else proxy.bundles))
    typed.seeds = typed.seeds or list(range(proxy.networks))
    if typed.data is None:
        parser.error(f"{typed.name} needs --data: {proxy.label}")
    return typed


@dataclass(frozen=True)
class _Run:
    """A bundle and what it took, with a place for the row of each network trained on it.

    Attributes:
        scoring: How it is judged.
        files: The places, by the network's seed.
        minutes: By part of the packing; none for a file that was given.
    """

    scoring: Scoring
    files: dict[int, Path]
    minutes: dict[str, Spent]


def _measure(typed: argparse.Namespace, proxy: Proxy) -> None:
    """Pack, score, record."""
    typed.work.mkdir(parents=True, exist_ok=True)
    name = f"{typed.name}-{typed.tag}" if typed.tag else typed.name
    source = open_source(typed.data, SourceOptions(size=typed.size or proxy.size), said)
    runs = [_run(typed, proxy, source, name, seed) for seed in typed.seed]
    schedule = runs[0].scoring.schedule
    print(
        f"scoring: {len(runs) * len(typed.seeds)} x {schedule.total:,} steps ({schedule.epochs} "
        f"epochs of {schedule.steps})",
        file=sys.stderr,
    )
    _record(typed, name, runs)


def _run(typed: argparse.Namespace, proxy: Proxy, source: Source, name: str, seed: int) -> _Run:
    """Pack the bundle of a seed, or read the one that was given."""
    minutes: dict[str, Spent] = {}
    if typed.bundle:
        bundle = read(typed.bundle)
    else:
        config = _settings(typed, proxy, source, seed)
        output = typed.work / (f"{name}.bundle-{seed}.hmn" if seed else f"{name}.hmn")
        packing = Packing(source, proxy.ipc, config, output, typed.device)
        bundle = packing.bundle(typed.stop_after_minutes)
        minutes = packing.minutes()
    network = NetworkConfig(width=proxy.width)
    scoring = Scoring(bundle, source, network, proxy.steps, proxy.batch, typed.device)
    files = {seed: _rows_file(typed.work, name, bundle, seed) for seed in typed.seeds}
    return _Run(scoring, files, minutes)


def _settings(typed: argparse.Namespace, proxy: Proxy, source: Source, seed: int) -> CompressConfig:
    """Return the recipe's settings at the proxy's width, under what was typed."""
    own = [f"{stage}.network.width={proxy.width}" for stage in ("pool", "gradient")]
    if proxy.holdout is not None:
        own.append(f"holdout={proxy.holdout}")
    recipe, options = typed.recipe or proxy.recipe, {"seed": seed}
    return CompressSettings(recipe, None, [*own, *typed.set], options).config(shape_of(source))


def _record(typed: argparse.Namespace, name: str, runs: list[_Run]) -> None:
    """Train the networks that are missing, and write the result of all."""
    rows = [run.scoring.row(run.files) for run in runs]
    means = [row.accuracy_mean for row in rows]
    std = stdev(means) if len(means) > 1 else rows[0].accuracy_std
    scoring = runs[0].scoring
    manifest, schedule = scoring.bundle.manifest, scoring.schedule
    config, minutes = manifest.config, _minutes_each(runs)
    write_result(
        typed.results,
        device=typed.device,
        typed_data=typed.data,
        name=name,
        recipe=config.recipe if config else None,
        seed=config.seed if config else None,
        data=DataFacts(name=_label(typed), fingerprint=manifest.source.fingerprint),
        minutes=round(sum(minutes.values(), NOTHING).clock, 3) if minutes else None,
        accuracy_mean=mean(means),
        accuracy_std=std,
        networks=sum(row.networks for row in rows),
        figures={
            "proxy": typed.name,
            "tested_on": f"{manifest.source.held_out} images held out of train",
            "settings": " ".join(typed.set),
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
            **_arithmetic(typed, runs[0], minutes),
            **_accuracies(typed.seed, runs),
        },
    )
    print(f"{mean(means):.1f} +- {std:.1f}")


def _minutes_each(runs: list[_Run]) -> dict[str, Spent]:
    """Return what packing one bundle took, in the mean, by part."""
    return {
        part: sum((run.minutes[part] for run in runs), NOTHING) / len(runs)
        for part in runs[0].minutes
    }


def _arithmetic(
    typed: argparse.Namespace, run: _Run, minutes: dict[str, Spent]
) -> dict[str, float]:
    """Return the operations of packing one bundle, the pool's included, and the most memory."""
    manifest = run.scoring.bundle.manifest
    if not minutes or manifest.config is None or not isinstance(manifest.container, HmnSpec):
        return {}
    images, device = manifest.source.train_images, choose_device(typed.device)
    ipc = manifest.budget.ipc
    stages = planned_stages(manifest.config, manifest.container, images, device, ipc=ipc)
    figures = {"peak_gb": round(sum(minutes.values(), NOTHING).peak_gb, 2)}
    if stages is None:
        return figures
    return {"flops_packing": sum(stage.flops for stage in stages), **figures}


def _accuracies(seeds: list[int], runs: list[_Run]) -> dict[str, float]:
    """Return the accuracy of every network, by its seed and, of several bundles, theirs."""
    found = {}
    for bundle, run in zip(seeds, runs, strict=True):
        of_bundle = f"_bundle_{bundle}" if len(runs) > 1 else ""
        for seed, path in run.files.items():
            found[f"accuracy{of_bundle}_seed_{seed}"] = _accuracy(path)
    return found


def _rows_file(work: Path, name: str, bundle: Bundle, seed: int) -> Path:
    return work / f"{name}-{bundle.manifest.data_sha256[:8]}.seed-{seed}.json"


def _label(typed: argparse.Namespace) -> str:
    """Return the data's name in tables: what it was meant to be, where a path says nothing."""
    return str(typed.label or PROXIES[typed.name].label)


def _accuracy(path: Path) -> float:
    return over_seeds([path])[0].accuracy_mean


if __name__ == "__main__":
    sys.exit(main())
