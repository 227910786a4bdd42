"""`hmnpack evaluate`: train networks on a file's images from scratch and compare with baselines."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from hmnpack.cli.options import (
    DATA_HELP,
    config_option,
    pop_source_options,
    read_as_recorded,
    resumable,
    run_options,
    save_options,
    set_option,
    source_options,
    work_option,
)
from hmnpack.cli.parameters import BundleFile, DataName
from hmnpack.cli.protocol import (
    TRAINING,
    Choice,
    at_once_option,
    held_out_option,
    protocol_options,
)
from hmnpack.errors import BadSettings, HmnError
from hmnpack.schema.names import BaselineRow

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle
    from hmnpack.evaluation import Evaluation
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.schema.manifest import Manifest
    from hmnpack.sources import Source

SETTINGS = TRAINING | {"baselines": "baselines", "rows": "rows", "jpeg_quality": "jpeg_quality"}
"""Options that are shorthands for settings: parameter name to path of the setting."""

FORMER_NAMES = {"no-controls": "no-baselines"}
"""Options that scripts may still call by a former name."""


@dataclass(frozen=True)
class Request:
    """Parsed command-line arguments.

    Attributes:
        file: Path or address of the bundle.
        data: Name or path of the real dataset to test on.
        device: Compute device.
        record: Record the scores in the bundle.
        save: Result file to write, or None.
        force: Replace an existing result file.
        as_json: Print JSON instead of a table.
        at_once: Number of networks trained together, or None for the default.
        work: Work directory of results and checkpoints, or None.
        quiet: Hide progress.
    """

    file: Path | str
    data: str
    device: str
    record: bool
    save: Path | None
    force: bool
    as_json: bool
    at_once: int | None
    work: Path | None
    quiet: bool


@click.command(
    "evaluate",
    short_help="Train networks on a file's images and test them.",
    epilog=DATA_HELP,
    context_settings={"token_normalize_func": lambda name: FORMER_NAMES.get(name, name)},
)
@click.argument("file", type=BundleFile())
@click.option("--data", type=DataName(), required=True, help="Real dataset to test on.")
@protocol_options(several=True)
@click.option(
    "--rows",
    multiple=True,
    metavar="NAMES",
    help=f"Baselines: {', '.join(get_args(BaselineRow))}; comma-separated or "
    "repeatable; or none [default: floats,bytes].",
)
@click.option("--no-baselines", is_flag=True, help="Evaluate FILE alone, without baselines.")
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 95),
    metavar="1..95",
    help="JPEG quality of the row `bytes` [default: the best on held-out images].",
)
@held_out_option
@at_once_option
@work_option
@set_option("train.lr=0.02", "hmnpack settings --of evaluate")
@config_option
@source_options
@click.option("--record", is_flag=True, help="Record the scores in FILE, for `verify`.")
@save_options("")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def evaluate_command(**arguments: Any) -> None:  # noqa: ANN401
    """Train fresh networks on the images of FILE and test them on the test split of --data.

    Networks trained on real images serve as baselines (--rows). floats: random images with the
    same number of floats. bytes: JPEG images with the same number of bytes, excluding the tables
    that all JPEG files share. count: the same number of random images, an upper reference. whole:
    the full dataset, which takes hours and is cached.

    Use the test split only for final results. To choose between settings, test on the held-out
    training images (--held-out).
    """
    arguments["rows"] = _names(arguments["rows"])
    without = arguments.pop("no_baselines")
    if arguments["rows"] == ("none",):
        without, arguments["rows"] = True, None
    if without and arguments["rows"]:
        raise BadSettings("--rows and --no-baselines contradict each other; leave one out")
    arguments["baselines"] = False if without else None
    options = {path: arguments.pop(name) for name, path in SETTINGS.items()}
    choice = Choice(
        arguments.pop("protocol"),
        arguments.pop("net"),
        arguments.pop("assignments"),
        arguments.pop("config_file"),
        options,
    )
    source = pop_source_options(arguments)
    _run(Request(**arguments), choice, source)


def _names(texts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return names from comma-separated and repeated values, or None if there are none."""
    return tuple(name.strip() for text in texts for name in text.split(",")) or None


def _run(request: Request, choice: Choice, source_options: dict[str, Any]) -> None:
    import hmnpack
    from hmnpack.bundle import read
    from hmnpack.cli.progress import progress_display
    from hmnpack.sources import open_source

    bundle = read(request.file)
    configs = choice.configs(bundle.manifest)
    _check_before_training(request, configs, bundle.manifest)
    options = read_as_recorded(request.file, bundle.manifest, source_options, request.data)
    found: dict[str, Evaluation] = {}
    record_error: HmnError | None = None
    start = time.monotonic()
    try:  # a failing network must not discard earlier results, which took hours
        with resumable(request.work), progress_display(quiet=request.quiet) as listener:
            needs_test = not all(config.held_out for config in configs)
            source = open_source(request.data, options, listener, needs_test=needs_test)
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
                if request.record and record_error is None:
                    record_error = _record_score(request, bundle, found[config.network.name])
    finally:
        if found:
            minutes = (time.monotonic() - start) / 60
            complete = len(found) == len(configs)
            _show(request, bundle.manifest, source, found, minutes, save=complete)
    if record_error is not None:
        raise record_error


def _check_before_training(
    request: Request, configs: list["EvaluateConfig"], manifest: "Manifest"
) -> None:
    """Check, before opening the data, what would otherwise fail only after training."""
    from hmnpack.bundle.opened import path_in
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
        file = path_in(request.file)
        if file is not None:
            check_distinct(request.save, file, "the bundle itself")


def _show(
    request: Request,
    manifest: "Manifest",
    source: "Source",
    found: dict[str, "Evaluation"],
    minutes: float,
    *,
    save: bool,
) -> None:
    """Print the results; save them if complete, as a partial file would block a rerun."""
    from hmnpack.cli.outcome import accuracy_table
    from hmnpack.cli.show import console, print_json
    from hmnpack.cli.streams import flush_stdout
    from hmnpack.cli.text import safe
    from hmnpack.evaluation.result import result_of
    from hmnpack.runtime.devices import choose_device
    from hmnpack.runtime.output import write_atomically

    if request.save or request.as_json:
        device = choose_device(request.device)
        command = safe(shlex.join(["hmnpack", *sys.argv[1:]]))
        result = result_of(found, manifest, source, device, minutes, command)
    try:
        if request.save and save:
            text = result.model_dump_json(indent=2) + "\n"
            write_atomically(request.save, text.encode(), request.force)
    finally:
        try:
            if request.as_json:
                print_json(result.model_dump(mode="json"))
            else:
                console().print(accuracy_table(found, manifest))
            flush_stdout()
        except (OSError, SystemExit):  # rich exits when the reader of a pipe has ended
            console(stderr=True).print(accuracy_table(found, manifest))
            raise


def _record_score(request: Request, bundle: "Bundle", evaluation: "Evaluation") -> HmnError | None:
    """Record a score in the file; return the error if that fails."""
    from hmnpack.cli.text import safe
    from hmnpack.evaluation.scores import record

    try:
        record(request.file, bundle, evaluation, device=request.device)
    except HmnError as error:
        return error
    if not request.quiet:
        network = evaluation.score.network
        click.echo(safe(f"{request.file}: recorded the score of {network}"), err=True)
    return None
