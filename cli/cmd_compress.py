"""`hmnpack compress`: a data set into one small file."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from hmnpack.cli.options import (
    DATA_HELP,
    ByteSize,
    DataName,
    RecipeName,
    chosen_source,
    config_option,
    output_option,
    run_options,
    set_option,
    source_options,
    taken_source,
)
from hmnpack.cli.speaker import is_main_rank, is_one_of_several

if TYPE_CHECKING:
    from rich.table import Table

    from hmnpack import Bundle, Plan, RunOptions, SourceOptions
    from hmnpack.runtime.progress import Listener
    from hmnpack.settings import CompressSettings

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


@click.command("compress", short_help="Condense a data set into one small file.", epilog=DATA_HELP)
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
def compress_command(**typed: Any) -> None:  # noqa: ANN401
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
    source = chosen_source(taken_source(typed))
    request = Request(**typed)
    bundle = _run(request, settings, source)
    if is_main_rank():
        click.echo(f"{request.output}: {stored(bundle.manifest)}")


def _run(
    request: Request, settings: "CompressSettings", source_options: "SourceOptions"
) -> "Bundle":
    import hmnpack
    from hmnpack.cli.progress import progress_display
    from hmnpack.cli.show import console
    from hmnpack.runtime.log import together

    out, quiet = console(stderr=True), request.quiet or not is_main_rank()
    with contextlib.ExitStack() as stack:
        pausing = stack.enter_context(Pausing())
        options = _options(request, pausing)
        logs = stack.enter_context(_logs(request, options))
        bars = stack.enter_context(progress_display(out, quiet=quiet))

        def announce(plan: "Plan") -> None:
            pausing.begin()
            if not quiet:
                out.print(_announcement(plan, request.output))

        return hmnpack.compress(
            request.data,
            request.ipc,
            recipe=settings.recipe,
            settings=settings.settings,
            output=request.output,
            options=options,
            source_options=source_options,
            listener=together(bars, logs),
            on_plan=announce,
        )


def _options(request: Request, pausing: "Pausing") -> "RunOptions":
    from hmnpack import RunOptions

    return RunOptions(
        device=request.device,
        resume=request.resume,
        force=request.force,
        max_minutes=request.max_minutes,
        should_pause=lambda: pausing.asked,
        max_memory=request.max_memory,
        probes=request.probes,
    )


@contextlib.contextmanager
def _logs(request: Request, options: "RunOptions") -> "Iterator[Listener]":
    """Give the listener of `--log` and `--tensorboard`, which may be none; rank 0 alone logs."""
    from hmnpack.condensing.checkpoint import checkpoint_of
    from hmnpack.condensing.run import check_output
    from hmnpack.runtime.log import JsonLines, TensorBoard, together
    from hmnpack.runtime.output import check_distinct

    if request.log:
        check_distinct(request.log, request.output, "the output")
        check_distinct(request.log, checkpoint_of(request.output), "the checkpoint of the output")
    if not is_main_rank():
        request = replace(request, log=None, tensorboard=None)
    if request.log or request.tensorboard:  # a run that is refused leaves its log as it was
        check_output(request.output, options)
    logs: list[Listener] = []
    with contextlib.ExitStack() as opened_logs:
        if request.tensorboard:
            logs.append(opened_logs.enter_context(TensorBoard(request.tensorboard)))
        if request.log:
            log = JsonLines(request.log, resumed=request.resume)
            logs.append(opened_logs.enter_context(log))
        yield together(*logs)


def _announcement(plan: "Plan", output: Path) -> "Table":
    from hmnpack.cli.show import facts
    from hmnpack.cli.text import container, duration, several, shape, size, steps

    source, config, spec, budget = plan.source, plan.config, plan.spec, plan.budget
    ledger, kind = spec.ledger(), plan.device.type
    rows = (
        ("data", f"{source.name}: {len(source.train.labels):,} images of {shape(source.image)}"),
        ("classes", several(source.classes)),
        ("budget", f"{plan.ipc} ipc = {budget.floats:,} floats = {size(budget.bytes)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.each:,} a class"),
        ("stored", f"{ledger.floats:,} floats, in {size(ledger.bytes)}"),
        ("recipe", f"{config.recipe}, seed {config.seed}"),
        ("steps", steps(config)),
        ("device", plan.device if plan.ranks == 1 else f"{kind}, {plan.ranks} ranks"),
        ("time", duration(plan.cost.seconds)),
    )
    return facts(f"Compressing into {output}", rows)


class Pausing:
    """Turns the first Ctrl-C, and SIGTERM, into a wish to pause; a second one interrupts at once.

    A context manager. Before :meth:`begin` there is nothing to pause, so the first one interrupts.
    One of several ranks is never interrupted, nor after the block: torchrun sends SIGTERM to ranks
    that end later than others, and it must not keep them from their last words.

    Attributes:
        asked: Whether to pause.
    """

    def __init__(self) -> None:
        self.asked: bool = False
        self._several = is_one_of_several()
        self._begun = self._several

    def begin(self) -> None:
        """From now on pause where asked to."""
        self._begun = True

    def __enter__(self) -> Self:
        numbers = signal.SIGINT, signal.SIGTERM
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._several else handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if (self.asked or not self._begun) and not self._several:
            raise KeyboardInterrupt
        if not self.asked and is_main_rank():
            # Not through sys.stderr, which may be in the middle of a write and refuses another.
            with contextlib.suppress(OSError):
                os.write(2, _PAUSING if self._several else _PAUSING_OR_NOT)
        self.asked = True
