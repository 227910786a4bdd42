"""`hmnpack append`: condense new classes into a file, beside those that it has."""

from pathlib import Path
from typing import Any

import click

from hmnpack.cli.cmd_compress import condense, condensing_options
from hmnpack.cli.options import DATA_HELP
from hmnpack.cli.parameters import BundleFile, DataName


@click.command("append", short_help="Condense new classes into an existing file.", epilog=DATA_HELP)
@click.argument("file", type=BundleFile())
@click.argument("data", type=DataName())
@click.option(
    "--ipc",
    type=click.IntRange(min=1),
    help="Budget of the new classes: images per class [default: that of FILE].",
)
@condensing_options(recipe="that of FILE", seed="that of FILE", holdout="that of FILE")
def append_command(file: Path | str, **arguments: Any) -> None:  # noqa: ANN401
    """Condense the classes of DATA into FILE, after those that it has, and write a new file.

    The decoder of FILE is frozen and its images stay as they are; their data are not needed. DATA
    has two or more new classes: choose them with --classes. Budgets add up.
    """
    condense(arguments, file)
