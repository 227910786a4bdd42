"""`hmnpack evaluate`: networks trained from scratch on a file's images, beside baselines."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    chosen_source,
    config_option,
    going_on,
    opened,
    run_options,
    set_option,
    source_options,
    taken_source,
    work_option,
)
from hmnpack.errors import BadSettings, HmnError
from hmnpack.registry import NETWORK_LIBRARIES, NETWORKS, PROTOCOLS
from hmnpack.schema.names import BaselineRow

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle
    from hmnpack.evaluation import Evaluation
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.schema.manifest import Manifest
    from hmnpack.sources import Source

SETTINGS = {
    "width": "network.width",
    "epochs": "train.epochs",
    "batch": "train.batch",
    "repeats": "repeats",
    "seed": "seed",
    "baselines": "baselines",
    "rows": "rows",
    "jpeg_quality": "jpeg_quality",
    "held_out": "held_out",
}
"""Options that are settings of their own, by the setting's path."""


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        file: The bundle.
        data: The real images to test on.
        device: Where to compute.
        record: Write the scores into the bundle.
        save: The result file to write, or None.
        force: Replace it if it is there.
        as_json: Print JSON instead of a table.
        at_once: Networks to train at a time, or None.
        work: The folder that keeps networks, or None.
        quiet: Show no progress.
    """

    file: Path
    data: str
    device: str
    record: bool
    save: Path | None
    force: bool
    as_json: bool
    at_once: int | None
    work: Path | None
    quiet: bool


@dataclass(frozen=True)
class Choice:
    """How to judge, as it was typed.

    Attributes:
        protocol: Name of the settings to start from.
        networks: Names of networks; none: the protocol's.
        assignments: Texts such as ``"train.lr=0.02"``.
        file: TOML file of settings, or None.
        options: Values by the setting's path, None where not given.
    """

    protocol: str
    networks: tuple[str, ...]
    assignments: tuple[str, ...]
    file: Path | None
    options: dict[str, Any]

    def configs(self, manifest: "Manifest") -> list["EvaluateConfig"]:
        """Return the settings of every network, for a bundle.

        Raises:
            BadSettings: for an unknown setting, or a value that its setting refuses.
        """
        from hmnpack.settings import evaluate_config, protocol_of

        base, assignments = protocol_of(self.protocol, manifest), self.assignments
        if self.options["train.epochs"] is not None:  # no more than were asked for
            assignments = ("min_steps=0", *assignments)
        return [
            evaluate_config(assignments, {**self.options, "network.name": name}, base, self.file)
            for name in dict.fromkeys(self.networks) or (None,)
        ]


@click.command(
    "evaluate", short_help="Train networks on a file's images and test them.", epilog=DATA_HELP
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", type=DataName(), required=True, help="The real images to test on.")
@click.option(
    "--protocol",
    type=click.Choice(tuple(PROTOCOLS)),
    default=next(iter(PROTOCOLS)),
    show_default=True,
    help="Settings to start from; paper: as the paper trains, for its nearest data and budget.",
)
@click.option(
    "--net",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(NETWORKS)}, {' or '.join(f'{name}:NAME' for name in NETWORK_LIBRARIES)}; "
    "repeatable [default: the protocol's].",
)
@click.option("--width", type=click.IntRange(min=1), help="Channels of a ConvNet [default: 128].")
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    help="Passes over the images, be they few or not [default: short has 300, and 1,000 steps].",
)
@click.option("--batch", type=click.IntRange(min=1), help="Images per step [default: 64].")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    help="Networks per row [default: short has 3, paper 10].",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random number.")
@click.option(
    "--rows",
    multiple=True,
    metavar="NAMES",
    help=f"Baselines: {', '.join(get_args(BaselineRow))}; with commas, or repeated "
    "[default: floats,bytes].",
)
@click.option("--no-baselines", is_flag=True, help="Leave out the rows of real images.")
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 95),
    metavar="1..95",
    help="Of row bytes [default: the best on images held out of train].",
)
@click.option(
    "--held-out",
    is_flag=True,
    default=None,
    help="Test on the images of train that condensing never saw, not on the test split.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    help="Networks of a row to train at a time [default: 1 on a CPU, else all].",
)
@work_option
@set_option("train.lr=0.02", "hmnpack settings --of evaluate")
@config_option
@source_options
@click.option("--record", is_flag=True, help="Write the scores into FILE, for `verify`.")
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE.json", help="Record the result there."
)
@click.option("--force", is_flag=True, help="Replace FILE.json.")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def evaluate_command(**typed: Any) -> None:  # noqa: ANN401
    """Train fresh networks on the images of FILE and test them on the test split of --data.

    Beside them stand networks trained on real images: random ones that take the same number of
    floats, JPEG pictures (without the tables that all JPEG files share) that take the same bytes,
    random ones of the same count (an upper reference), and the whole data (hours, kept in the
    cache for the next time).

    The test split is for a last look. To choose between settings, test on the images of train
    that were held out of condensing (--held-out).
    """
    typed["rows"] = _names(typed["rows"])
    without = typed.pop("no_baselines")
    if without and typed["rows"]:
        raise BadSettings("--rows and --no-baselines contradict each other; leave one out")
    typed["baselines"] = False if without else None
    options = {path: typed.pop(name) for name, path in SETTINGS.items()}
    choice = Choice(
        typed.pop("protocol"),
        typed.pop("net"),
        typed.pop("assignments"),
        typed.pop("config_file"),
        options,
    )
    source = taken_source(typed)
    _run(Request(**typed), choice, source)


def _names(texts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return names that were given with commas, repeatedly, or not at all."""
    return tuple(name.strip() for text in texts for name in text.split(",")) or None


def _run(request: Request, choice: Choice, source_options: dict[str, Any]) -> None:
    import hmnpack
    from hmnpack.bundle import read
    from hmnpack.cli.progress import progress_display

    bundle = read(request.file)
    configs = choice.configs(bundle.manifest)
    _refuse(request, configs, bundle.manifest)
    options = chosen_source(source_options)
    found: dict[str, Evaluation] = {}
    refused: HmnError | None = None
    begun = time.monotonic()
    try:  # what stops one network may not lose those before it, which took hours
        with going_on(request.work), progress_display(quiet=request.quiet) as listener:
            source = opened(request.data, source_options, listener)
            for config in configs:
                found[config.network.name] = hmnpack.evaluate(
                    bundle,
                    source,
                    config,
                    device=request.device,
                    source_options=options,
                    at_once=request.at_once,
                    work=request.work,
                    listener=listener,
                )
                if request.record and refused is None:
                    refused = _recorded(request, bundle, found[config.network.name])
    finally:
        if found:
            minutes = (time.monotonic() - begun) / 60
            whole = len(found) == len(configs)
            _show(request, bundle.manifest, source, found, minutes, save=whole)
    if refused is not None:
        raise refused


def _refuse(request: Request, configs: list["EvaluateConfig"], manifest: "Manifest") -> None:
    """Check, before data are opened, what would stop the command only after its work."""
    from hmnpack.evaluation import check_network
    from hmnpack.evaluation.scores import check_recordable
    from hmnpack.runtime.devices import choose_device
    from hmnpack.runtime.output import check_distinct, check_output_path

    choose_device(request.device)
    for config in configs:
        check_network(config.network, manifest)
    if request.record:
        check_recordable(request.file)
    if request.save:
        check_output_path(request.save, force=request.force)
        check_distinct(request.save, request.file, "the bundle itself")


def _show(
    request: Request,
    manifest: "Manifest",
    source: "Source",
    found: dict[str, "Evaluation"],
    minutes: float,
    *,
    save: bool,
) -> None:
    """Print what was found, and save it if it is all: part of it would stop the same command."""
    from hmnpack.cli.outcome import accuracy_table
    from hmnpack.cli.show import console, print_json
    from hmnpack.cli.text import safe
    from hmnpack.evaluation.result import result_of
    from hmnpack.runtime.devices import choose_device
    from hmnpack.runtime.output import write_atomically

    if request.save or request.as_json:
        device = choose_device(request.device)
        typed = safe(shlex.join(["hmnpack", *sys.argv[1:]]))
        result = result_of(found, manifest, source, device, minutes, typed)
    try:
        if request.save and save:
            text = result.model_dump_json(indent=2) + "\n"
            write_atomically(request.save, text.encode(), request.force)
    finally:
        if request.as_json:
            print_json(result.model_dump(mode="json"))
        else:
            console().print(accuracy_table(found, manifest))


def _recorded(request: Request, bundle: "Bundle", evaluation: "Evaluation") -> HmnError | None:
    """Write a score into the file; return why it could not be."""
    from hmnpack.cli.text import safe
    from hmnpack.evaluation.scores import record

    try:
        record(request.file, bundle, evaluation, device=request.device)
    except HmnError as error:
        return error
    if not request.quiet:
        network = evaluation.score.network
        click.echo(safe(f"{request.file}: the score of {network} is recorded"), err=True)
    return None
