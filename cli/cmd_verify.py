"""`hmnpack verify`: check that files are intact and that their scores can be reproduced."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    pop_source_options,
    read_as_recorded,
    run_options,
    source_options,
)
from hmnpack.cli.parameters import BundleFile, DataName
from hmnpack.errors import BadSettings, HmnError, ScoreFails

if TYPE_CHECKING:
    from hmnpack.evaluation.verification import Repetition
    from hmnpack.schema.manifest import Manifest
    from hmnpack.sources import Source


@dataclass(frozen=True)
class Request:
    """Parsed command-line arguments.

    Attributes:
        files: Paths or addresses of the bundles.
        data: Name or path of the real dataset of the scores, or None.
        score: Number of the score to reproduce, from 1, or None for the last one.
        networks: Number of networks to train, or None for the recorded number.
        seed: Random seed, or None for the recorded seed.
        device: Compute device.
        quiet: Hide progress.
    """

    files: tuple[Path | str, ...]
    data: str | None
    score: int | None
    networks: int | None
    seed: int | None
    device: str
    quiet: bool


@click.command(
    "verify", short_help="Check files and, given data, their recorded scores.", epilog=DATA_HELP
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=BundleFile())
@click.option("--data", type=DataName(), help="Reproduce a recorded score on this dataset.")
@click.option(
    "--score",
    type=click.IntRange(min=1),
    metavar="K",
    help="Number of the score, as in `inspect` [default: the last on this data].",
)
@click.option(
    "--networks",
    type=click.IntRange(min=1),
    help="Networks to train; with the recorded ones at least 4 [default: the recorded number].",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Random seed [default: the recorded seed]."
)
@source_options
@run_options
def verify_command(**arguments: Any) -> None:  # noqa: ANN401
    """Check that each FILE is intact: structure, ledger, budget and hashes.

    With --data, also reproduce a recorded score: networks are trained by its protocol, and their
    mean must lie within a 99 % interval (Student's t-test), otherwise the exit code is 6. After an
    error, the remaining files are still checked; the exit code is that of the first error.
    """
    source = pop_source_options(arguments)
    failures = _run(Request(**arguments), source)
    if failures:
        click.get_current_context().exit(failures[0].exit_code)


def _run(request: Request, source_options: dict[str, Any]) -> list[HmnError]:
    from hmnpack.cli.progress import progress_display
    from hmnpack.runtime.paths import STDIN

    if request.data is None and (request.score, request.networks, request.seed) != (None,) * 3:
        raise BadSettings("--score, --networks and --seed reproduce a score; add --data")
    if request.data is not None and STDIN in request.files:
        raise BadSettings("--data needs a file that can be read again, not standard input")
    failures: list[HmnError] = []
    ready = []
    for file in request.files:
        with _report_errors(failures):
            ready.append((file, _check(request, file)))
    if request.data is None or not ready:
        return failures
    from hmnpack.evaluation.verification import needs_test_split
    from hmnpack.sources import open_source

    opened: dict[object, Source] = {}  # by how it is read; many files of one dataset need one
    for file, manifest in ready:
        with _report_errors(failures):
            read_as = read_as_recorded(file, manifest, source_options, request.data)
            if read_as not in opened:
                needs_test = needs_test_split(manifest, request.score)
                with progress_display(quiet=request.quiet) as listener:
                    opened[read_as] = open_source(
                        request.data, read_as, listener, needs_test=needs_test
                    )
            _reproduce(request, file, opened[read_as])
    return failures


@contextlib.contextmanager
def _report_errors(failures: list[HmnError]) -> Iterator[None]:
    """Print an error as one line and collect it, so that the next file is checked."""
    try:
        yield
    except HmnError as error:
        click.echo(f"hmnpack: {error}", err=True)
        failures.append(error)


def _check(request: Request, file: Path | str) -> "Manifest":
    """Check a file, print its summary and return its manifest."""
    import hmnpack
    from hmnpack.evaluation.verification import check_has_score

    manifest = hmnpack.verify(file).manifest
    click.echo(_summary(file, manifest))
    if request.data is not None:
        check_has_score(str(file), manifest, request.score)
    return manifest


def _reproduce(request: Request, file: Path | str, source: "Source") -> None:
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
    if not found.reproduced:
        raise ScoreFails(_verdict(file, found))
    click.echo(_verdict(file, found))


def _summary(file: Path | str, manifest: "Manifest") -> str:
    from hmnpack.cli.text import counted, safe, stored

    scores = counted(len(manifest.scores), "score")
    return f"{safe(str(file))}: intact; {stored(manifest)}, {scores}"


def _verdict(file: Path | str, found: "Repetition") -> str:
    from hmnpack.cli.text import safe

    score, (low, high) = found.recorded, found.interval
    title = f"{score.network} on {score.tested_on}"
    verdict, where = ("reproduced", "within") if found.reproduced else ("not reproduced", "outside")
    return safe(
        f"{file}: score {found.number} {verdict}: {title}, "
        f"recorded {_mean_accuracy(score.accuracies)}, now {_mean_accuracy(found.accuracies)}, "
        f"{where} the 99 % interval {low:.2f} to {high:.2f} %"
    )


def _mean_accuracy(accuracies: tuple[float, ...]) -> str:
    from statistics import fmean

    from hmnpack.cli.text import counted

    return f"{fmean(accuracies):.2f} % ({counted(len(accuracies), 'network')})"
