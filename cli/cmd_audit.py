"""`hmnpack audit`: measure how much a file gives away about the images it was made from."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    config_option,
    pop_source_options,
    read_as_recorded,
    run_options,
    save_options,
    set_option,
    source_options,
)
from hmnpack.cli.parameters import BundleFile, DataName
from hmnpack.cli.protocol import (
    TRAINING,
    Choice,
    at_once_option,
    held_out_option,
    protocol_options,
)

if TYPE_CHECKING:
    from rich.table import Table

    from hmnpack.schema.audit import Audit, AuditResult, Nearest


@dataclass(frozen=True)
class Request:
    """Parsed command-line arguments.

    Attributes:
        file: Path or address of the bundle.
        data: Name or path of the dataset that it was made from.
        device: Compute device.
        pictures: Include the picture of the nearest pairs.
        save: Result file to write, or None.
        force: Replace an existing result file.
        as_json: Print JSON instead of tables.
        at_once: Number of networks trained together, or None for the default.
        quiet: Hide progress.
    """

    file: Path | str
    data: str
    device: str
    pictures: bool
    save: Path | None
    force: bool
    as_json: bool
    at_once: int | None
    quiet: bool


@click.command(
    "audit", short_help="Measure how much a file gives away about its data.", epilog=DATA_HELP
)
@click.argument("file", type=BundleFile())
@click.option("--data", type=DataName(), required=True, help="Dataset that FILE was made from.")
@protocol_options(several=False)
@held_out_option
@at_once_option
@set_option("train.lr=0.02", "hmnpack settings --of evaluate")
@config_option
@source_options
@click.option(
    "--no-pictures",
    is_flag=True,
    help="Leave the picture of the nearest pairs, which shows real images, out of the result.",
)
@save_options(", for `report --audit`")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def audit_command(**arguments: Any) -> None:  # noqa: ANN401
    """Measure how much FILE gives away about the real images that it was made from.

    First, the distance from each synthetic image to the nearest of these, beside the same distance
    of real images that were not condensed. Then, a membership attack on networks trained on FILE:
    does a lower loss tell condensed images from others? Networks trained on as many random real
    images serve as controls.

    The result is what these two measurements find: not a guarantee, and not differential privacy.
    """
    options = {path: arguments.pop(name) for name, path in TRAINING.items()}
    network = arguments.pop("net")
    choice = Choice(
        arguments.pop("protocol"),
        () if network is None else (network,),
        arguments.pop("assignments"),
        arguments.pop("config_file"),
        options,
    )
    source = pop_source_options(arguments)
    _run(Request(pictures=not arguments.pop("no_pictures"), **arguments), choice, source)


def _run(request: Request, choice: Choice, source_options: dict[str, Any]) -> None:
    import hmnpack
    from hmnpack.bundle import read
    from hmnpack.cli.progress import progress_display
    from hmnpack.cli.text import safe
    from hmnpack.evaluation import check_network
    from hmnpack.evaluation.result import audit_result
    from hmnpack.runtime.devices import choose_device
    from hmnpack.sources import open_source

    bundle = read(request.file)
    (config,) = choice.configs(bundle.manifest)
    _check_before_training(request)
    check_network(config.network, bundle.manifest)
    device, start = choose_device(request.device), time.monotonic()
    options = read_as_recorded(request.file, bundle.manifest, source_options, request.data)
    with progress_display(quiet=request.quiet) as listener:
        needs_test = not config.held_out
        source = open_source(request.data, options, listener, needs_test=needs_test)
        found = hmnpack.audit(
            bundle,
            source,
            config,
            pictures=request.pictures,
            device=device,
            source_options=options,
            at_once=request.at_once,
            listener=listener,
        )
    minutes = (time.monotonic() - start) / 60
    command = safe(shlex.join(["hmnpack", *sys.argv[1:]]))
    _show(request, audit_result(found, bundle.manifest, source, device, minutes, command))


def _check_before_training(request: Request) -> None:
    """Check, before opening the data, what would otherwise fail only after training."""
    from hmnpack.bundle.opened import path_in
    from hmnpack.runtime.output import check_distinct, check_output_path

    if request.save:
        check_output_path(request.save, force=request.force)
        file = path_in(request.file)
        if file is not None:
            check_distinct(request.save, file, "the bundle itself")


def _show(request: Request, result: "AuditResult") -> None:
    """Save the result, and print it even if it cannot be saved."""
    from hmnpack.cli.show import console, print_json
    from hmnpack.runtime.output import write_atomically

    try:
        if request.save:
            text = result.model_dump_json(indent=2) + "\n"
            write_atomically(request.save, text.encode(), request.force)
    finally:
        if request.as_json:
            print_json(result.model_dump(mode="json"))
        else:
            for made in _tables(result.audit):
                console().print(made)


def _tables(found: "Audit") -> "tuple[Table, Table]":
    from rich.text import Text

    from hmnpack.cli.show import table
    from hmnpack.schema.audit import CAVEAT

    distances = table(
        "Distance to the nearest condensed real image",
        ("from", "images", "least", "1 %", "5 %", "median", "copies", "below 1 %"),
        (row for one in found.nearest for row in _distance_rows(one)),
    )
    attacks = table(
        "Membership attack: AUC (0.5 is chance)",
        ("trained on", "images", "members", "others", "nets", "AUC", "95 %"),
        (
            (
                *(one.name, f"{one.images:,}", f"{one.members:,}", f"{one.non_members:,}"),
                *(
                    len(one.aucs),
                    f"{one.auc.value:.3f}",
                    f"{one.auc.low:.3f} to {one.auc.high:.3f}",
                ),
            )
            for one in found.attacks
        ),
    )
    distances.caption = Text(
        "copies: at distance 0. below 1 %: nearer than the 1 % quantile of real images."
    )
    distances.caption_justify = "left"
    over = found.over_control
    said = f"bundle less control: {over.value:+.3f} ({over.low:+.3f} to {over.high:+.3f})"
    attacks.caption = Text(f"{said}\n{CAVEAT}")
    attacks.caption_justify = "left"
    return distances, attacks


def _distance_rows(one: "Nearest") -> list[tuple[str, ...]]:
    rows = (("bundle", one.synthetic), ("real, not condensed", one.real))
    more = (f"{one.copies:,}", f"{one.below_p1:.1f} %"), ("", "")
    return [
        (
            f"{name}, {one.space}",
            f"{found.images:,}",
            *(f"{value:.4g}" for value in (found.least, found.p1, found.p5, found.median)),
            *rest,
        )
        for (name, found), rest in zip(rows, more, strict=True)
    ]
