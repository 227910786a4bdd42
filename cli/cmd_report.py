"""`hmnpack report`: write a web page about a file, or about all files of a folder."""

from pathlib import Path

import click

from hmnpack.cli.parameters import BundleFile, PathName


@click.command("report", short_help="Write a web page about a file or a folder of files.")
@click.argument("file", type=BundleFile())
@click.option(
    "-o",
    "--output",
    type=PathName(),
    required=True,
    metavar="PAGE.html",
    help="Output page.",
)
@click.option(
    "--log",
    type=PathName(),
    metavar="RUN.jsonl",
    help="Log of the run that made FILE (compress --log); adds its curves.",
)
@click.option(
    "--result",
    type=PathName(),
    metavar="RESULT.json",
    help="Evaluation of FILE (evaluate --save); shown with the recorded scores.",
)
@click.option(
    "--audit",
    type=PathName(),
    metavar="AUDIT.json",
    help="Audit of FILE (audit --save); its picture shows real images.",
)
@click.option("--force", is_flag=True, help="Replace an existing PAGE.html.")
def report_command(
    file: Path | str,
    output: Path,
    log: Path | None,
    result: Path | None,
    audit: Path | None,
    force: bool,
) -> None:
    """Write a web page about FILE: budget, scores, images, margins, provenance.

    If FILE is a folder, the page is a gallery of all .hmn files in it, with links to the reports
    beside them.

    The page is one self-contained file: it works offline, in an e-mail and in print.
    """
    import hmnpack
    from hmnpack.cli.text import safe, size

    page = hmnpack.report(file, output, log=log, result=result, audit=audit, force=force)
    click.echo(f"{safe(str(page))}: {size(page.stat().st_size)}")
