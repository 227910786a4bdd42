"""`hmnpack expand`: the images of a file, on disk."""

from pathlib import Path

import click

from hmnpack.registry import WRITERS


@click.command("expand", short_help="Write a file's images to disk.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder or file to write, which must not exist (or be empty).",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(WRITERS)),
    default=next(iter(WRITERS)),
    show_default=True,
    help="folder: PNGs in one folder per class; sheet: one PNG with a row for each of the first "
    "100 classes, of 10 images without --per-class.",
)
@click.option(
    "--per-class", type=click.IntRange(min=1), metavar="N", help="Only the first N of each class."
)
@click.option("--force", is_flag=True, help="Replace what is there.")
def expand_command(file: Path, out: Path, kind: str, per_class: int | None, force: bool) -> None:
    """Write a file's images to disk, and print where they lie."""
    import hmnpack

    click.echo(hmnpack.expand(file, out, format=kind, force=force, per_class=per_class))
