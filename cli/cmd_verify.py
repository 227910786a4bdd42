"""`hmnpack verify`: whether files are whole, and whether what they say of themselves holds."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    opened,
    run_options,
    source_options,
    taken_source,
)
from hmnpack.errors import BadSettings, HmnError, ScoreFails

if TYPE_CHECKING:
    from hmnpack.evaluation.verification import Repetition
    from hmnpack.schema.manifest import Manifest
    from hmnpack.sources import Source


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        files: The bundles.
        data: The real images that their scores were tested on, or None.
        score: Which score of each file, or None.
        networks: How many to train, or None.
        seed: Of every random number, or None.
        device: Where to compute.
        quiet: Show no progress.
    """

    files: tuple[Path, ...]
    data: str | None
    score: int | None
    networks: int | None
    seed: int | None
    device: str
    quiet: bool


@click.command(
    "verify", short_help="Check files, and with data the scores in them.", epilog=DATA_HELP
)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--data", type=DataName(), help="Train again by a recorded score's protocol.")
@click.option(
    "--score",
    type=click.IntRange(min=1),
    metavar="K",
    help="Which score, as `inspect` counts them [default: the last on this data].",
)
@click.option(
    "--networks",
    type=click.IntRange(min=1),
    help="Networks, at least 4 with those recorded [default: as many as recorded].",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed [default: the recorded one].")
@source_options
@run_options
def verify_command(**typed: Any) -> None:  # noqa: ANN401
    """Check that each FILE is whole: structure, ledger, budget and hashes.

    With --data, networks are trained again by the protocol of a score that the file records. They
    must come out within the 99 % interval that chance allows; if not, the exit code is 6. What is
    wrong with one file does not keep the others from being checked: the exit code is the first's.
    """
    source = taken_source(typed)
    failures = _run(Request(**typed), source)
    if failures:
        click.get_current_context().exit(failures[0].exit_code)


def _run(request: Request, source_options: dict[str, Any]) -> list[HmnError]:
    from hmnpack.cli.progress import progress_display

    if request.data is None and (request.score, request.networks, request.seed) != (None,) * 3:
        raise BadSettings("--score, --networks and --seed are for training again; add --data")
    failures: list[HmnError] = []
    ready = []
    for file in request.files:
        with _said(failures):
            _check(request, file)
            ready.append(file)
    if request.data is None or not ready:
        return failures
    with progress_display(quiet=request.quiet) as listener:
        source = opened(request.data, source_options, listener)
    for file in ready:
        with _said(failures):
            _repeat(request, file, source)
    return failures


@contextlib.contextmanager
def _said(failures: list[HmnError]) -> Iterator[None]:
    """Say in one line what is wrong with a file, and go on with the next."""
    from hmnpack.cli.group import one_line

    try:
        yield
    except HmnError as error:
        click.echo(f"hmnpack: {one_line(str(error))}", err=True)
        failures.append(error)


def _check(request: Request, file: Path) -> None:
    import hmnpack
    from hmnpack.evaluation.verification import check_has_score

    manifest = hmnpack.verify(file).manifest
    click.echo(_whole(file, manifest))
    if request.data is not None:
        check_has_score(file, manifest, request.score)


def _repeat(request: Request, file: Path, source: "Source") -> None:
    import hmnpack
    from hmnpack.cli.progress import progress_display

    with progress_display(quiet=request.quiet) as listener:
        found = hmnpack.verify(
            file,
            source,
            score=request.score,
            networks=request.networks,
            seed=request.seed,
            device=request.device,
            listener=listener,
        ).repetition
    assert found is not None  # noqa: S101  (data were given)
    if not found.holds:
        raise ScoreFails(_verdict(file, found))
    click.echo(_verdict(file, found))


def _whole(file: Path, manifest: "Manifest") -> str:
    from hmnpack.cli.text import counted, safe, stored

    scores = counted(len(manifest.scores), "score")
    return f"{safe(str(file))}: whole; {stored(manifest)}, {scores}"


def _verdict(file: Path, found: "Repetition") -> str:
    from hmnpack.cli.text import safe

    score, (low, high) = found.recorded, found.interval
    what = f"{score.network} on {score.tested_on}"
    verdict, where = ("holds", "within") if found.holds else ("does not hold", "outside")
    return safe(
        f"{file}: score {found.number} {verdict}: {what}, "
        f"recorded {_mean(score.accuracies)}, now {_mean(found.accuracies)}, {where} the 99 % "
        f"interval {low:.2f} to {high:.2f} %"
    )


def _mean(accuracies: tuple[float, ...]) -> str:
    from statistics import fmean

    from hmnpack.cli.text import counted

    return f"{fmean(accuracies):.2f} % ({counted(len(accuracies), 'network')})"
