"""Measure the federated example over seeds: accuracy against bytes sent, beside FedAvg.

    python examples/reproduce/federated.py --data digits --seeds 0 1 2 --work runs/

Each seed has its own split, files, networks and trainings. Results of a seed are cached in the
work directory. Writes a result JSON.
"""

import argparse
import sys
from pathlib import Path

from record import RESULTS, cached_rows, over_seeds, write_result

import hmnpack
from hmnpack.evaluation.rows import headline_of, statistics_of
from hmnpack.runtime.given import assigned_values
from hmnpack.runtime.kept import digest_of
from hmnpack.schema.result import DataFacts, Row
from hmnpack.sources import Source

sys.path.append(str(Path(__file__).parents[1] / "federated"))

from one_shot import SMALL, Federation, run


def main() -> None:
    """Measure what the command line asks for, write the result, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="as for `hmnpack compress`")
    parser.add_argument("--label", help="dataset name in the result [default: its own name]")
    for name, value in vars(Federation()).items():
        if name != "seed":
            parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="condensing setting"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tag", help="suffix of the result's name [default: the dataset's name]")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    args = vars(parser.parse_args())
    typed, label, tag, seeds = (args.pop(name) for name in ("data", "label", "tag", "seeds"))
    settings, work = SMALL | assigned_values(args.pop("set")), args.pop("work")
    source = hmnpack.open_source(typed)
    work.mkdir(parents=True, exist_ok=True)
    runs = [Federation(**args, seed=seed) for seed in seeds]
    paths = [_path(work, source, how, settings) for how in runs]
    for path, how in zip(paths, runs, strict=True):
        cached_rows(path, lambda how=how: _rows(source, how, settings))
    first, *others = over_seeds(paths)
    write_result(
        RESULTS,
        device="cpu",
        typed_data=typed,
        name=f"federated-{tag or source.name}",
        recipe="fast",
        data=DataFacts(name=label or source.name, fingerprint=source.train.fingerprint),
        **headline_of(first),
        baselines=tuple(others),
        figures={
            "title": "One-shot federated learning, beside FedAvg",
            "bytes_sent": first.figures["bytes"],
            "images": first.images,
            "settings": " ".join(f"{name}={value}" for name, value in settings.items()),
            **args,
            "seeds": " ".join(map(str, seeds)),
        },
    )
    for row in (first, *others):
        print(f"{row.name}: {row.accuracy_mean:.1f} +- {row.accuracy_std:.1f}, {row.figures}")


def _path(work: Path, source: Source, how: Federation, settings: dict[str, object]) -> Path:
    facts = (source.train.fingerprint, repr(how), repr(sorted(settings.items())))
    return work / f"federated-{digest_of(*facts)[:16]}.json"


def _rows(source: Source, how: Federation, settings: dict[str, object]) -> list[Row]:
    return [
        Row(
            name=point.name,
            images=point.images,
            **statistics_of([point.accuracy]),
            figures={"bytes": point.sent},
        )
        for point in run(source, how, settings)
    ]


if __name__ == "__main__":
    main()
