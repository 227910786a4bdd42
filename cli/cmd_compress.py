"""`hmnpack compress`: a data set into one small file."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    RecipeName,
    chosen_source,
    opened,
    run_options,
    set_option,
    source_options,
)

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle
    from hmnpack.schema.config import CompressConfig
    from hmnpack.sources import Source


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        data: The data set.
        ipc: Budget, in images per class.
        output: The file to be.
        device: Where to compute.
        max_minutes: Pause after so many, or None.
        resume: Go on from the checkpoint.
        force: Replace what is there.
        quiet: Say nothing but the result.
    """

    data: str
    ipc: int
    output: Path
    device: str
    max_minutes: float | None
    resume: bool
    force: bool
    quiet: bool


@click.command(short_help="Condense a data set into one small file.", epilog=DATA_HELP)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Budget: images per class.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.hmn",
    help="The file to write.",
)
@click.option("--recipe", type=RecipeName(), help="Named settings [default: fast].")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random number.")
@set_option
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="Settings from a file; they beat the recipe, options beat them.",
)
@click.option("--holdout", type=click.FloatRange(0, 0.9), help="Part of train to keep unseen.")
@source_options
@click.option(
    "--max-minutes", type=click.FloatRange(min=0), metavar="MINUTES", help="Pause after so many."
)
@click.option("--resume", is_flag=True, help="Go on with a paused run.")
@click.option("--force", is_flag=True, help="Replace FILE.hmn, or start a paused run again.")
@run_options
def compress(**typed: Any) -> None:  # noqa: ANN401
    """Condense DATA into one small file that trains networks nearly as well.

    Ctrl-C pauses after the step under way; the same command with --resume goes on and ends with
    the same bytes.
    """
    from hmnpack.cli.settings import compress_config

    options = {"seed": typed.pop("seed"), "holdout": typed.pop("holdout")}
    config = compress_config(
        typed.pop("recipe"), typed.pop("config_file"), typed.pop("assignments"), options
    )
    source = {name: typed.pop(name) for name in ("size", "skip_bad", "data_dir", "cache_dir")}
    request = Request(**typed)
    bundle = _run(request, config, source)
    ledger, budget, spec = bundle.manifest.ledger, bundle.manifest.budget, bundle.manifest.container
    click.echo(
        f"{request.output}: {spec.images:,} images in {ledger.floats:,} of {budget.floats:,} floats"
    )


def _run(request: Request, config: "CompressConfig", source_options: dict[str, Any]) -> "Bundle":
    from hmnpack.cli.progress import drawn
    from hmnpack.compressor import RunOptions
    from hmnpack.compressor import compress as condense
    from hmnpack.output import refuse_output

    refuse_output(request.output, force=request.force)  # before minutes of opening
    with drawn(quiet=request.quiet) as listener:
        source = opened(request.data, source_options, listener)
    if not request.quiet:
        _announce(source, request, config)
    with drawn(quiet=request.quiet) as listener, pausing() as should_pause:
        return condense(
            source,
            request.ipc,
            config=config,
            output=request.output,
            options=RunOptions(
                device=request.device,
                resume=request.resume,
                force=request.force,
                max_minutes=request.max_minutes,
                should_pause=should_pause,
            ),
            source_options=chosen_source(source_options),
            listener=listener,
        )


def _announce(source: "Source", request: Request, config: "CompressConfig") -> None:
    from hmnpack.budget import budget_of, plan
    from hmnpack.cli.show import console, facts
    from hmnpack.cli.text import container, several, shape, size
    from hmnpack.runtime import choose_device

    classes, image = len(source.classes), source.image
    budget = budget_of(request.ipc, classes, image)
    spec = plan(request.ipc, classes, image, config.container)
    rows = (
        ("data", f"{source.name}: {len(source.train.labels):,} images of {shape(image)}"),
        ("classes", several(source.classes)),
        ("budget", f"{request.ipc} ipc = {budget.floats:,} floats = {size(budget.bytes)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.instances:,} a class"),
        ("recipe", f"{config.recipe}, seed {config.seed}"),
        ("steps", f"{config.warmup.steps:,} of warm-up, {config.match.steps:,} of matching"),
        ("device", choose_device(request.device)),
    )
    console(stderr=True).print(facts(f"Compressing into {request.output}", rows))


@contextlib.contextmanager
def pausing() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C, and SIGTERM, into a wish to pause; a second one interrupts at once.

    Gives the function that tells whether to pause.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not through sys.stderr, which may be in the middle of a write and refuses a second one.
        with contextlib.suppress(OSError):
            os.write(2, b"hmnpack: pausing after this step; once more to stop at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
