"""`hmnpack compress`: a data set into one small file."""

import contextlib
import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    ByteSize,
    DataName,
    RecipeName,
    chosen_source,
    config_option,
    opened,
    output_option,
    run_options,
    set_option,
    source_options,
    taken_source,
)
from hmnpack.cli.speaker import is_one_of_several, leads
from hmnpack.errors import BadSettings

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle
    from hmnpack.runtime.progress import Listener
    from hmnpack.schema.config import CompressConfig
    from hmnpack.settings import CompressSettings
    from hmnpack.sources import Source

_PAUSING = b"hmnpack: pausing after this step\n"
_PAUSING_OR_NOT = b"hmnpack: pausing after this step; once more to stop at once\n"


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
        log: The file that every event is appended to, or None.
        tensorboard: The folder of TensorBoard's files, or None.
        probes: Quick networks trained over the run.
        max_memory: Bytes for the maps of classes that are matched at once, or None.
    """

    data: str
    ipc: int
    output: Path
    device: str
    max_minutes: float | None
    resume: bool
    force: bool
    quiet: bool
    log: Path | None
    tensorboard: Path | None
    probes: int
    max_memory: int | None


@click.command(short_help="Condense a data set into one small file.", epilog=DATA_HELP)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Budget: images per class.")
@output_option
@click.option(
    "--recipe", type=RecipeName(), help="Named settings [default: fast on a CPU, else best]."
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random number.")
@set_option("match.steps=100")
@config_option
@click.option(
    "--holdout",
    type=click.FloatRange(0, 0.9),
    help="Part of each class of train to keep unseen, for choices [default: 0.1].",
)
@source_options
@click.option(
    "--max-minutes", type=click.FloatRange(min=0), metavar="MINUTES", help="Pause after so many."
)
@click.option("--resume", is_flag=True, help="Go on with a paused run.")
@click.option("--force", is_flag=True, help="Replace FILE.hmn, or start a paused run again.")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Append each event, with its loss and other figures, as a line of JSON.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the figures there for TensorBoard.",
)
@click.option(
    "--probes",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Train N quick networks over the run and test them on held-out images.",
)
@click.option(
    "--max-memory",
    type=ByteSize(),
    help="What classes matched at once may take on an accelerator: 4GB, 512MB "
    "[default: most of what is free].",
)
@run_options
def compress(**typed: Any) -> None:  # noqa: ANN401
    """Condense DATA into one small file of images to train networks on.

    Ctrl-C pauses after the step under way; the same command with --resume goes on and ends with
    the same bytes.
    """
    from hmnpack.cli.text import stored
    from hmnpack.settings import CompressSettings

    options = {"seed": typed.pop("seed"), "holdout": typed.pop("holdout")}
    settings = CompressSettings(
        typed.pop("recipe"), typed.pop("config_file"), typed.pop("assignments"), options
    )
    source = taken_source(typed)
    request = Request(**typed)
    bundle = _run(request, settings, source)
    if not leads():
        return
    click.echo(f"{request.output}: {stored(bundle.manifest)}")


def _run(
    request: Request, settings: "CompressSettings", source_options: dict[str, Any]
) -> "Bundle":
    from hmnpack.cli.progress import drawn
    from hmnpack.condensing.checkpoint import Checkpoint, checkpoint_of
    from hmnpack.condensing.run import RunOptions
    from hmnpack.condensing.run import compress as condense
    from hmnpack.runtime.devices import choose_device
    from hmnpack.runtime.log import together
    from hmnpack.runtime.output import refuse_output, refuse_same
    from hmnpack.runtime.ranks import joined
    from hmnpack.settings import default_recipe

    refuse_output(request.output, force=request.force)  # before minutes of opening, and any log
    checkpoint = Checkpoint(checkpoint_of(request.output))
    checkpoint.refuse_unless(resume=request.resume, force=request.force)
    if request.log:
        refuse_same(request.log, request.output, "the output")
        refuse_same(request.log, checkpoint.path, "the checkpoint of the output")
    if request.max_minutes is not None and math.isnan(request.max_minutes):
        raise BadSettings("--max-minutes nan is no number of minutes; give one, such as 60")
    quiet = request.quiet or not leads()
    device = choose_device(request.device)
    with _logs(request) as logs, joined(device) as world:
        with world.leader_first(), drawn(quiet=quiet) as bars:
            source = opened(request.data, source_options, together(bars, logs))
        config = settings.config(source.shape, default_recipe(device.type))
        if not quiet:
            _announce(source, request, config, world.size)
        with drawn(quiet=quiet) as bars, pausing() as should_pause:
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
                    max_memory=request.max_memory,
                    probes=request.probes,
                ),
                source_options=chosen_source(source_options),
                listener=together(bars, logs),
            )


@contextlib.contextmanager
def _logs(request: Request) -> "Iterator[Listener]":
    """Give the listener of `--log` and `--tensorboard`, which may be none; rank 0 alone logs."""
    from hmnpack.runtime.log import JsonLines, TensorBoard, together

    logs: list[Listener] = []
    with contextlib.ExitStack() as opened_logs:
        if not leads():
            request = replace(request, log=None, tensorboard=None)
        if request.tensorboard:
            logs.append(opened_logs.enter_context(TensorBoard(request.tensorboard)))
        if request.log:
            log = JsonLines(request.log, resumed=request.resume)
            logs.append(opened_logs.enter_context(log))
        yield together(*logs)


def _announce(source: "Source", request: Request, config: "CompressConfig", ranks: int) -> None:
    from hmnpack.cli.show import console, facts
    from hmnpack.cli.text import container, expected, several, shape, size, steps
    from hmnpack.condensing.estimate import estimate
    from hmnpack.container.budget import budget_of, plan
    from hmnpack.runtime.devices import choose_device

    classes, image = len(source.classes), source.image
    budget = budget_of(request.ipc, classes, image)
    spec = plan(request.ipc, classes, image, config.container)
    ledger = spec.ledger()
    device = choose_device(request.device)
    found = estimate(config, spec, len(source.train), device, ranks, ipc=request.ipc)
    rows = (
        ("data", f"{source.name}: {len(source.train.labels):,} images of {shape(image)}"),
        ("classes", several(source.classes)),
        ("budget", f"{request.ipc} ipc = {budget.floats:,} floats = {size(budget.bytes)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.each:,} a class"),
        ("stored", f"{ledger.floats:,} floats, in {size(ledger.bytes)}"),
        ("recipe", f"{config.recipe}, seed {config.seed}"),
        ("steps", steps(config)),
        ("device", device if ranks == 1 else f"{device.type}, {ranks} ranks"),
        ("time", expected(found.seconds if found else None)),
    )
    console(stderr=True).print(facts(f"Compressing into {request.output}", rows))


@contextlib.contextmanager
def pausing() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C, and SIGTERM, into a wish to pause; a second one interrupts at once.

    Gives the function that tells whether to pause. One of several ranks is never interrupted, nor
    after the block: torchrun sends SIGTERM to ranks that end later than others, and it must not
    keep them from their last words.
    """
    asked, several = False, is_one_of_several()

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and not several:
            raise KeyboardInterrupt
        if not asked and leads():
            # Not through sys.stderr, which may be in the middle of a write and refuses another.
            with contextlib.suppress(OSError):
                os.write(2, _PAUSING if several else _PAUSING_OR_NOT)
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if several else handler)
