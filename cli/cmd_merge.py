"""`hmnpack merge`: store files that share a decoder in one file."""

from pathlib import Path

import click

from hmnpack.cli.options import output_option
from hmnpack.cli.parameters import BundleFile


@click.command("merge", short_help="Store files that share a decoder in one file.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=BundleFile())
@output_option
@click.option("--force", is_flag=True, help="Replace an existing output file.")
def merge_command(files: tuple[Path | str, ...], output: Path, force: bool) -> None:
    """Store the images of each FILE in one file, where they decode as before.

    The files must have the same decoder, as parts of one file have, or hold plain pixels of one
    shape and type. Images of classes of the same name become those of one class.
    """
    import hmnpack
    from hmnpack.cli.text import safe, stored

    merged = hmnpack.merge(files, output=output, force=force)
    click.echo(safe(f"{output}: {stored(merged.manifest)}"))
