"""Figure 4: class-incremental learning from what was stored of each stage (paper section 4.6).

    python examples/reproduce/figure4.py --data DATA --scale cpu --work runs/
    make reproduce-figure4 DATA=DATA SCALE=cpu

Per seed and stage, each row stores the new classes, and a network is trained on all that was
stored so far: `hmn` (our file, to which each stage is appended), `floats` and `bytes` (random real
images within the same floats, or as JPEG within the same bytes), `herding`. `--scale` is as for
`paper.py`. The work directory caches everything: rerun an interrupted command to resume it.

Writes a result JSON and, beside it, a page with the figure.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from ablations.scale import PAPER_WIDTH, Scale, part_of, scale_of
from figure4_page import page_of
from minutes import Minutes, Timed
from record import RESULTS, cached_rows, named, over_seeds, print_progress, write_result

from hmnpack.continual import CONTINUAL, ROWS, Condensing, ContinualConfig, Run, results_of
from hmnpack.errors import HmnError
from hmnpack.evaluation.rows import statistics_of
from hmnpack.registry import unknown_name
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.given import assigned_values
from hmnpack.runtime.kept import digest_of
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.result import DataFacts, Figure, Result, Row
from hmnpack.schema.training import deepest
from hmnpack.settings import merged, recipe_of
from hmnpack.sources import Source, SourceOptions, open_source


def main() -> int:
    """Run the protocol given on the command line; return the exit code."""
    args = _arguments()
    try:
        _measure(args, scale_of(args.scale))
    except HmnError as error:
        print(f"figure4: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True, help="as for `hmnpack compress`")
    parser.add_argument("--label", help="dataset name in the result [default: its own name]")
    parser.add_argument("--size", type=int, help="image side in pixels")
    parser.add_argument("--protocol", choices=CONTINUAL, default="paper")
    parser.add_argument("--stages", type=int, help="stages [default: the protocol's]")
    parser.add_argument("--ipc", type=int, nargs="+", help="budgets [default: the protocol's]")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="rows [default: all]")
    parser.add_argument("--scale", default="full", help="as for paper.py")
    parser.add_argument("--recipe", help="recipe of condensing [default: the scale's]")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="condensing setting"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="[default: the protocol's number]")
    parser.add_argument("--tag", help="suffix of the result's name: paper-figure4-TAG")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    return parser.parse_args()


def protocol_at(config: ContinualConfig, scale: Scale) -> ContinualConfig:
    """Return a protocol at a scale: fewer epochs, drops in proportion, a narrower network."""
    if scale.training == 1 and scale.width >= PAPER_WIDTH:
        return config
    epochs = part_of(config.train.epochs, scale.training)
    width = min(config.network.width, scale.width)
    changes = {
        "train": config.train.model_copy(update={"epochs": epochs}),
        "drops": tuple(part_of(drop, scale.training) for drop in config.drops),
        "network": config.network.model_copy(update={"width": width}),
        "seeds": min(config.seeds, scale.networks),
        "networks": min(config.networks, scale.networks),
    }
    return config.model_copy(update=changes)


def _measure(args: argparse.Namespace, scale: Scale) -> None:
    """Run the protocol for every budget, row and seed; write the result and its page."""
    for name in args.rows:
        if name not in ROWS:
            raise unknown_name("row", name, ROWS)
    args.work.mkdir(parents=True, exist_ok=True)
    name = named("paper-figure4", args.tag)
    minutes = Minutes(args.work / f"{name}.minutes.json")
    with Timed(lambda stage: minutes, print_progress) as timed:
        source = open_source(args.data, SourceOptions(size=args.size), timed)
        config, condensing = _settings(args, scale, source)
        seeds = tuple(args.seeds or range(config.seeds))
        rows: list[Row] = []
        for ipc in args.ipc or [config.ipc]:
            at = config.model_copy(update={"ipc": ipc})
            device = choose_device(args.device)
            runs = [
                Run(*(source, at, condensing, seed, args.work, device, timed)) for seed in seeds
            ]
            for row in args.rows:
                for run in runs:
                    cached_rows(_path(run, row), partial(_rows, run, row))
                rows += over_seeds(_path(run, row) for run in runs)
    facts = {
        "title": "Figure 4: class-incremental learning",
        "scale": scale.name,
        "protocol": config.protocol,
        "stages": config.stages,
        "epochs": config.train.epochs,
        "width": config.network.width,
        "settings": " ".join(args.set),
        "tested_on": f"the classes of {source.name} seen so far",
        "seeds": " ".join(map(str, seeds)),
    }
    _write(args, name, (source, config, condensing), rows, (minutes, facts))


def _settings(
    args: argparse.Namespace, scale: Scale, source: Source
) -> tuple[ContinualConfig, Condensing]:
    """Return the protocol and the settings of condensing, at a scale and for a dataset."""
    config = protocol_at(CONTINUAL[args.protocol], scale)
    depth = min(config.network.depth, deepest(source.image))
    network = config.network.model_copy(update={"depth": depth})
    stages = args.stages or config.stages
    config = config.model_copy(update={"network": network, "stages": stages})
    recipe = args.recipe or scale.recipe
    changed = scale.condensed(recipe_of(recipe, source.shape))
    condensing = Condensing(recipe, changed | assigned_values(args.set))
    merged(recipe_of(recipe), condensing.settings)  # an unknown setting ends the run here
    return config, condensing


def _write(
    args: argparse.Namespace,
    name: str,
    what: tuple[Source, ContinualConfig, Condensing],
    rows: list[Row],
    measured: tuple[Minutes, dict[str, Figure]],
) -> None:
    """Write the result and the page, and print the table."""
    source, config, condensing = what
    minutes, facts = measured
    spent = minutes.of(minutes.stages)
    label = args.label or source.name
    path = write_result(
        RESULTS,
        device=args.device,
        typed_data=args.data,
        name=name,
        recipe=condensing.recipe,
        data=DataFacts(name=label, fingerprint=source.train.fingerprint),
        minutes=round(spent.clock, 2),
        baselines=tuple(rows),
        figures={**facts, "processor_minutes": round(spent.processor, 2)},
    )
    written = Result.model_validate_json(path.read_bytes())  # an earlier one may have more seeds
    page = page_of(label, config, written.baselines)
    write_atomically(path.with_suffix(".html"), page.encode(), force=True)
    for one in written.baselines:
        stage = f"ipc {one.figures['ipc']}, {one.figures['classes']:>3} classes"
        print(f"{stage}, {one.name}: {one.accuracy_mean:.1f} +- {one.accuracy_std:.1f}")


def _path(run: Run, row: str) -> Path:
    settings = sorted((path, repr(value)) for path, value in run.condensing.settings.items())
    facts = (run.source.train.fingerprint, run.config.model_dump_json(), run.condensing.recipe)
    digest = digest_of(*facts, settings, run.device.type)[:16]
    return run.folder / f"figure4-{row}-{digest}-{run.seed}.json"


def _rows(run: Run, row: str) -> list[Row]:
    """Return one row of the table per stage."""
    found = results_of(row, ROWS[row], run)
    return [
        Row(
            name=row,
            images=one.images,
            **statistics_of([one.accuracy]),
            figures={
                "ipc": run.config.ipc,
                "stage": number,
                "classes": one.classes,
                "bytes": one.stored_bytes,
            },
        )
        for number, one in enumerate(found, 1)
    ]


if __name__ == "__main__":
    sys.exit(main())
