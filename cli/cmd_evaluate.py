"""`hmnpack evaluate`: networks trained from scratch on a file's images, beside control rows."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    opened,
    run_options,
    set_option,
    source_options,
)

if TYPE_CHECKING:
    from hmnpack.evaluation import Evaluation
    from hmnpack.schema.config import EvaluateConfig
    from hmnpack.schema.manifest import Manifest
    from hmnpack.schema.result import Result
    from hmnpack.sources import Source

SETTINGS = {
    "net": "network.name",
    "width": "network.width",
    "epochs": "train.epochs",
    "batch": "train.batch",
    "repeats": "repeats",
    "seed": "seed",
    "controls": "controls",
}
"""Options that are settings of their own, by the setting's path."""


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        file: The bundle.
        data: The real images to test on.
        device: Where to compute.
        save: The result file to write, or None.
        force: Replace it if it is there.
        as_json: Print JSON instead of a table.
        quiet: Show no progress.
    """

    file: Path
    data: str
    device: str
    save: Path | None
    force: bool
    as_json: bool
    quiet: bool


@click.command(short_help="Train networks on a file's images and test them.", epilog=DATA_HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", type=DataName(), required=True, help="The real images to test on.")
@click.option("--net", metavar="NAME", help="convnet [default], resnet-ap, torchvision:resnet18...")
@click.option("--width", type=click.IntRange(min=1), help="Channels of a ConvNet [default: 128].")
@click.option("--epochs", type=click.IntRange(min=0), help="Passes over the images [default: 300].")
@click.option("--batch", type=click.IntRange(min=1), help="Images per step [default: 64].")
@click.option("--repeats", type=click.IntRange(min=1), help="Networks per row [default: 3].")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random number.")
@click.option("--no-controls", is_flag=True, help="Leave out the rows of real images.")
@set_option
@source_options
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE.json", help="Record the result there."
)
@click.option("--force", is_flag=True, help="Replace FILE.json.")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def evaluate(**typed: Any) -> None:  # noqa: ANN401
    """Train fresh networks on the images of FILE and test them on the test split of --data.

    Beside them stand networks trained on random real images that take the same number of floats,
    and on JPEG files that take the same number of bytes.
    """
    from hmnpack.cli.settings import evaluate_config

    typed["controls"] = False if typed.pop("no_controls") else None
    options = {path: typed.pop(name) for name, path in SETTINGS.items()}
    config = evaluate_config(typed.pop("assignments"), options)
    source = {name: typed.pop(name) for name in ("size", "skip_bad", "data_dir", "cache_dir")}
    _run(Request(**typed), config, source)


def _run(request: Request, config: "EvaluateConfig", source_options: dict[str, Any]) -> None:
    from hmnpack.bundle import read
    from hmnpack.cli.progress import drawn
    from hmnpack.cli.show import accuracy_table, console, print_json
    from hmnpack.evaluation import evaluate as judge
    from hmnpack.output import refuse_output, write_atomically

    bundle = read(request.file)
    if request.save:
        refuse_output(request.save, force=request.force)
    with drawn(quiet=request.quiet) as listener:
        source = opened(request.data, source_options, listener)
        begun = time.monotonic()
        found = judge(bundle, source, config, device=request.device, listener=listener)
    minutes = (time.monotonic() - begun) / 60
    result = None
    if request.save or request.as_json:
        result = _result(request, bundle.manifest, source, found, minutes)
    if request.save and result:
        text = result.model_dump_json(indent=2) + "\n"
        write_atomically(request.save, text.encode(), request.force)
    if request.as_json and result:
        print_json(result.model_dump(mode="json"))
    else:
        title = f"{config.network.name}, tested on {source.name}"
        console().print(accuracy_table(title, found.rows))


def _result(
    request: Request, manifest: "Manifest", source: "Source", found: "Evaluation", minutes: float
) -> "Result":
    from hmnpack.measure import commit, machine_facts
    from hmnpack.runtime import choose_device
    from hmnpack.schema.result import DataFacts, Result

    first, *controls = found.rows
    return Result(
        name=f"evaluate {source.name} {manifest.budget.ipc} ipc",
        recipe=manifest.config.recipe if manifest.config else None,
        command=shlex.join(["hmnpack", *sys.argv[1:]]),
        commit=commit(),
        seed=found.score.protocol.seed,
        machine=machine_facts(choose_device(request.device)),
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        minutes=round(minutes, 3),
        accuracy_mean=first.accuracy_mean,
        accuracy_std=first.accuracy_std,
        networks=first.networks,
        controls=tuple(controls),
        figures={
            "images": first.images,
            "floats": manifest.ledger.floats,
            "ipc": manifest.budget.ipc,
            "network": found.score.protocol.network.name,
            "width": found.score.protocol.network.width,
            "epochs": found.score.protocol.train.epochs,
            "bundle_data_sha256": manifest.data_sha256,
            **first.figures,
        },
    )
