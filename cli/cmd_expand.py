"""`hmnpack expand`: write the images of a file to disk."""

from pathlib import Path

import click

from hmnpack.cli.parameters import BundleFile, PathName
from hmnpack.registry import WRITERS


@click.command("expand", short_help="Write a file's images to disk.")
@click.argument("file", type=BundleFile())
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=PathName(),
    required=True,
    help="Folder or file to write; must not exist, unless it is an empty folder.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(WRITERS)),
    default=next(iter(WRITERS)),
    show_default=True,
    help="folder: PNG files, one folder per class; parquet: a Parquet file; tar: a WebDataset "
    "archive; npz: a NumPy archive; sheet: one PNG with a row of images for each of the first 100 "
    "classes (10 images each without --per-class).",
)
@click.option(
    "--per-class",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write only the first N images of each class.",
)
@click.option("--force", is_flag=True, help="Replace existing output.")
def expand_command(
    file: Path | str, out: Path, kind: str, per_class: int | None, force: bool
) -> None:
    """Write the images of FILE to disk and print the path."""
    import hmnpack

    click.echo(hmnpack.expand(file, out, format=kind, force=force, per_class=per_class))
