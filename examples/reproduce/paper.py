"""Reproduce a table or figure of the paper, at any scale.

    python examples/reproduce/paper.py table6 --data DATA --scale cpu --work runs/
    make reproduce-table6 DATA=DATA SCALE=cpu

Without a name, lists the tables and figures. `--scale full` (the default) is the paper's size, for
a GPU; `cpu` takes about one CPU hour; `smoke` takes seconds; a number above 0 and at most 1 is a
fraction of the paper's size. Choices (beta, a JPEG quality) are made on held-out images.

The work directory caches everything, for all tables: rerun an interrupted command to resume it. To
use several processes, let each train some of the networks (`--seeds 1`), then run the full command.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from ablations import figure5, figure6, figure7, table2_hmn, table4, table5, table6
from ablations.scale import Scale, scale_of
from ablations.study import Ablation, Findings, Study
from assignments import add_settings_option
from minutes import Minutes, Timed
from record import RESULTS, named, print_progress, write_result

from hmnpack.bundle import read
from hmnpack.errors import BadSettings, HmnError
from hmnpack.schema.result import DataFacts, Figure
from hmnpack.sources import SourceOptions, open_source

ABLATIONS: Mapping[str, Ablation] = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module.ABLATION
    for module in (table2_hmn, table4, table5, table6, figure5, figure6, figure7)
}
"""Tables and figures, by name on the command line."""


def main() -> int:
    """Run the study given on the command line; return the exit code."""
    args = _arguments()
    if args.name is None:
        for name, ablation in ABLATIONS.items():
            print(f"{name}: {ablation.title}\n  varies {ablation.varies}")
        return 0
    try:
        _measure(args, ABLATIONS[args.name], scale_of(args.scale))
    except HmnError as error:
        print(f"paper: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("name", nargs="?", choices=ABLATIONS, help="table or figure")
    parser.add_argument("--data", help="dataset name or path, as for `hmnpack compress`")
    parser.add_argument("--label", help="dataset name in tables [default: its own name]")
    parser.add_argument("--size", type=int, help="image side in pixels")
    parser.add_argument(
        "--scale", default="full", help="full, cpu, smoke, or a fraction of the paper's size"
    )
    parser.add_argument("--recipe", help="base recipe for condensing [default: the scale's]")
    add_settings_option(parser)
    parser.add_argument(
        "--bundle", type=Path, nargs="+", default=[], help="use these existing bundles"
    )
    parser.add_argument("--ipc", type=_budget, nargs="+", help="budgets [default: the paper's]")
    parser.add_argument(
        "--networks", nargs="+", help="architectures for table4 [default: all four]"
    )
    parser.add_argument(
        "--on", choices=("test", "held-out"), default="test", help="images to test on"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of condensing and pruning")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="network seeds, one network per row each"
    )
    parser.add_argument("--tag", help="suffix of the result's name: paper-table6-TAG")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    args = parser.parse_args()
    if args.name is not None and args.data is None:
        parser.error(f"{args.name} needs --data")
    if args.networks and args.name != "table4":
        parser.error(f"--networks applies to table4, not to {args.name}")
    return args


def _budget(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid budget; give an integer of 1 or more"
        )
    return int(text)


def _measure(args: argparse.Namespace, ablation: Ablation, scale: Scale) -> None:
    """Run the study and write its result; minutes of interrupted runs are counted."""
    args.work.mkdir(parents=True, exist_ok=True)
    name = named(f"paper-{args.name}", args.tag)
    minutes = Minutes(args.work / f"{name}.minutes.json")
    with Timed(lambda stage: minutes, print_progress) as timed:
        study = _study(args, ablation, scale, timed)
        findings = ablation.measure(study)
    _record(args, name, study, findings, minutes)


def _study(args: argparse.Namespace, ablation: Ablation, scale: Scale, timed: Timed) -> Study:
    if args.bundle and not ablation.takes_bundles:
        raise BadSettings(f"{args.name} condenses its own bundles; leave out --bundle")
    source = open_source(args.data, SourceOptions(size=args.size), timed)
    return Study(
        source=source,
        label=args.label or source.name,
        scale=scale,
        recipe=args.recipe or scale.recipe,
        assignments=tuple(args.set),
        seed=args.seed,
        seeds=tuple(args.seeds or range(scale.networks)),
        ipcs=tuple(args.ipc or ablation.ipcs[: scale.ipcs]),
        networks=tuple(args.networks or table4.NETWORKS),
        on=args.on,
        given=tuple(read(path) for path in args.bundle),
        work=args.work,
        device=args.device,
        listener=timed,
    )


def _record(
    args: argparse.Namespace, name: str, study: Study, findings: Findings, minutes: Minutes
) -> None:
    spent = minutes.of(minutes.stages)
    write_result(
        RESULTS,
        device=args.device,
        typed_data=args.data,
        name=name,
        recipe=None if study.given else study.recipe,
        seed=study.seed,
        data=DataFacts(name=study.label, fingerprint=study.source.train.fingerprint),
        minutes=round(spent.clock, 2),
        baselines=findings.rows,
        figures={
            **_facts(ABLATIONS[args.name], study),
            "processor_minutes": round(spent.processor, 2),
            **findings.figures,
        },
    )
    for row in findings.rows:
        print(
            f"{row.figures['ipc']:>3} {row.name}: {row.accuracy_mean:.1f} +- {row.accuracy_std:.1f}"
        )


def _facts(ablation: Ablation, study: Study) -> dict[str, Figure]:
    """Return the inputs of the study for which a result has no field of its own."""
    return {
        "title": ablation.title,
        "scale": study.scale.name,
        "protocol": study.scale.protocol,
        "width": study.protocol(study.ipcs[0]).network.width,
        "settings": " ".join(study.assignments),
        "tested_on": study.tested_on,
        "seeds": " ".join(map(str, study.seeds)),
    }


if __name__ == "__main__":
    sys.exit(main())
