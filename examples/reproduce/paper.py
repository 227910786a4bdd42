"""Measure a table or figure of the paper: one command each, at any size.

    python examples/reproduce/paper.py table6 --data DATA --scale cpu --work runs/
    make reproduce-table6 DATA=DATA SCALE=cpu

Without a name, the tables and figures are listed. `--scale full` (the default) is the paper's own
size, for a GPU; `cpu` takes an hour or so of a processor; `smoke` takes seconds; a number above 0
and up to 1 is a part of the paper's size. What is chosen (beta, a JPEG quality) is chosen on images
held out of train. What is found in the work folder is not made again, whichever table it was made
for: an interrupted command goes on where it was, and several processes can each train some of the
networks (`--seeds 1`) before one puts them together.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from ablations import figure5, figure6, figure7, table2, table4, table5, table6
from ablations.scale import Scale, scale_of
from ablations.study import Ablation, Findings, Study
from minutes import Minutes, Timed
from record import RESULTS, print_progress, write_result

from hmnpack.bundle import read
from hmnpack.errors import BadSettings, HmnError
from hmnpack.schema.result import DataFacts, Figure
from hmnpack.sources import SourceOptions, open_source

ABLATIONS: Mapping[str, Ablation] = {
    module.__name__.rpartition(".")[2]: module.ABLATION
    for module in (table2, table4, table5, table6, figure5, figure6, figure7)
}
"""By the name that is args."""


def main() -> int:
    """Measure what the command line asks for; return the exit code."""
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
    parser.add_argument("name", nargs="?", choices=ABLATIONS, help="which table or figure")
    parser.add_argument("--data", help="what `hmnpack compress` takes")
    parser.add_argument("--label", help="name of the data in tables [default: the data's own]")
    parser.add_argument("--size", type=int, help="side of the images, in pixels")
    parser.add_argument(
        "--scale", default="full", help="full, cpu, smoke, or a part of the paper's"
    )
    parser.add_argument(
        "--recipe", help="settings of condensing to start from [default: the scale's]"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of condensing, or, with evaluate. before it, of judging; repeatable",
    )
    parser.add_argument(
        "--bundle", type=Path, nargs="+", default=[], help="use these files; condense nothing"
    )
    parser.add_argument("--ipc", type=_budget, nargs="+", help="budgets [default: the paper's]")
    parser.add_argument("--networks", nargs="+", help="architectures of table4 [default: all four]")
    parser.add_argument(
        "--on", choices=("test", "held-out"), default="test", help="what networks are tested on"
    )
    parser.add_argument("--seed", type=int, default=0, help="of condensing and pruning")
    parser.add_argument("--seeds", type=int, nargs="+", help="one network of each row for each")
    parser.add_argument("--tag", help="ends the result's name: paper-table6-TAG")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for what is made")
    args = parser.parse_args()
    if args.name is not None and args.data is None:
        parser.error(f"{args.name} needs --data")
    if args.networks and args.name != "table4":
        parser.error(f"--networks is of table4, not of {args.name}")
    return args


def _budget(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of images; give 1 or more")
    return int(text)


def _measure(args: argparse.Namespace, ablation: Ablation, scale: Scale) -> None:
    """Measure, record, and book the minutes, also of a run that is interrupted."""
    args.work.mkdir(parents=True, exist_ok=True)
    name = "-".join(["paper", args.name, *([args.tag] if args.tag else [])])
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
    """Return what decides the figures, but for what the result has fields for."""
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
