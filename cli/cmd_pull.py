"""`hmnpack pull`: get a file from the Hugging Face Hub."""

from pathlib import Path

import click

from hmnpack.cli.options import output_option


@click.command("pull", short_help="Get a file from the Hugging Face Hub.")
@click.argument("address", metavar="OWNER/NAME[/FILE.hmn]")
@output_option
@click.option("--force", is_flag=True, help="Replace an existing output file.")
def pull_command(address: str, output: Path, force: bool) -> None:
    """Write a file of a dataset repository to disk, after verifying it.

    OWNER/NAME@REVISION is a branch, a tag or a commit. The name of the file may be left out if the
    repository has one .hmn file alone.
    """
    import hmnpack
    from hmnpack.cli.text import safe, size

    path = hmnpack.pull(address, output, force=force)
    click.echo(safe(f"{path}: {size(path.stat().st_size)}"))
