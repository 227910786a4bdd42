"""`hmnpack split`: store some of a file's classes in a file of their own."""

from pathlib import Path

import click

from hmnpack.cli.options import output_option
from hmnpack.cli.parameters import BundleFile, PathName, class_names


@click.command("split", short_help="Store some of a file's classes in a file of their own.")
@click.argument("file", type=BundleFile())
@click.option(
    "--classes",
    metavar="NAME,NAME",
    callback=class_names,
    required=True,
    help="Classes of the new file; the first has label 0.",
)
@output_option
@click.option(
    "--rest",
    type=PathName(),
    metavar="FILE.hmn",
    help="Store the other classes in this file.",
)
@click.option("--force", is_flag=True, help="Replace existing output files.")
def split_command(
    file: Path | str, classes: tuple[str, ...], output: Path, rest: Path | None, force: bool
) -> None:
    """Store some classes of FILE in a file of their own; their images decode as before."""
    import hmnpack
    from hmnpack.bundle import read
    from hmnpack.cli.text import safe, stored
    from hmnpack.runtime.output import check_distinct, check_output_path

    outputs = [output] if rest is None else [output, rest]
    for path in outputs:
        check_output_path(path, force=force)
    if rest is not None:
        check_distinct(rest, output, "the output of the named classes")
    bundle = read(file)
    groups = [classes]
    if rest is not None:
        groups.append(tuple(name for name in bundle.manifest.classes if name not in classes))
    for path, part in zip(outputs, hmnpack.split(bundle, *groups), strict=True):
        part.save(path, force=force)
        click.echo(safe(f"{path}: {stored(part.manifest)}"))
