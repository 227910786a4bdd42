"""`hmnpack report`: one web page that shows a file."""

from pathlib import Path

import click


@click.command("report", short_help="Write one web page that shows a file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PAGE.html",
    help="The page to write.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="RUN.jsonl",
    help="The log of the run that made FILE (compress --log), for its curves.",
)
@click.option(
    "--result",
    type=click.Path(path_type=Path),
    metavar="RESULT.json",
    help="An evaluation of FILE (evaluate --save), beside the scores in it.",
)
@click.option("--force", is_flag=True, help="Replace PAGE.html.")
def report_command(
    file: Path, output: Path, log: Path | None, result: Path | None, force: bool
) -> None:
    """Write one web page that shows a file: budget, scores, images, margins, provenance.

    The page is a single file that loads nothing: it works offline, in an e-mail and on paper.
    """
    import hmnpack
    from hmnpack.cli.text import safe, size

    page = hmnpack.report(file, output, log=log, result=result, force=force)
    click.echo(f"{safe(str(page))}: {size(page.stat().st_size)}")
