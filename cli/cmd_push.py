"""`hmnpack push`: publish a file on the Hugging Face Hub, with a card."""

from pathlib import Path

import click

from hmnpack.cli.parameters import BundleFile, PathName


@click.command("push", short_help="Publish a file on the Hugging Face Hub, with a card.")
@click.argument("file", type=BundleFile())
@click.argument("repository", metavar="OWNER/NAME")
@click.option(
    "--license",
    required=True,
    metavar="ID",
    help="Licence of the source dataset, as the hub's identifier: mit, cc-by-4.0, other, ...; "
    "unknown if its authors state none.",
)
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option(
    "--dry-run",
    type=PathName(),
    metavar="DIR",
    help="Write what would be pushed to this folder; the hub is not contacted.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Push to a repository with other files, and replace a different file of the same name.",
)
def push_command(
    file: Path | str,
    repository: str,
    license: str,
    private: bool,
    dry_run: Path | None,
    force: bool,
) -> None:
    """Write FILE and a card to the dataset repository OWNER/NAME, in one commit.

    The card says what the file holds, its budget and scores, and how to load it. The access token
    is that of `hf auth login`, or HF_TOKEN.
    """
    import hmnpack
    from hmnpack.cli.text import safe

    done = hmnpack.push(
        file, repository, license=license, private=private, force=force, dry_run=dry_run
    )
    names = " and ".join(done.files)
    where = done.address if dry_run is None else f"{dry_run}, nothing pushed"
    click.echo(safe(f"{names}: {where}"))
