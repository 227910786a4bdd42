"""`hmnpack compress`: condense a dataset into one small file."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from hmnpack.cli.options import (
    DATA_HELP,
    Function,
    config_option,
    make_source_options,
    minutes_option,
    output_option,
    pop_source_options,
    run_options,
    scale_option,
    set_option,
    source_options,
)
from hmnpack.cli.parameters import ByteSize, DataName, PathName, RecipeName
from hmnpack.cli.signals import ENDING, ending
from hmnpack.runtime.notes import is_main_rank, is_one_of_several

if TYPE_CHECKING:
    from rich.table import Table

    from hmnpack import Bundle, Plan, RunOptions, SourceOptions
    from hmnpack.runtime.progress import Listener
    from hmnpack.settings import CompressSettings

_PAUSING = b"hmnpack: pausing after this step\n"
_PAUSING_INTERRUPTIBLE = b"hmnpack: pausing after this step; Ctrl-C again stops immediately\n"


@dataclass(frozen=True)
class Request:
    """Parsed command-line arguments.

    Attributes:
        data: Name or path of the dataset.
        ipc: Budget in images per class; None: that of the file that classes are appended to.
        output: Output file.
        device: Compute device.
        max_minutes: Minutes after which the run pauses, or None.
        resume: Resume from the checkpoint.
        force: Replace an existing output.
        quiet: Print only the result.
        log: File to which every event is appended, or None.
        tensorboard: Folder for TensorBoard files, or None.
        probes: Number of probe networks trained during the run.
        max_memory: Bytes for the feature maps of concurrently matched classes, or None.
        scale: Fraction of the recipe's iterations.
        minutes: Minutes to fit the run to, or None.
    """

    data: str
    ipc: int | None
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
    scale: float
    minutes: float | None = None


_RUN = (
    click.option(
        "--max-minutes",
        type=click.FloatRange(min=0),
        metavar="MINUTES",
        help="Pause after this time.",
    ),
    click.option("--resume", is_flag=True, help="Resume a paused run from its checkpoint."),
    click.option(
        "--force",
        is_flag=True,
        help="Replace FILE.hmn, or restart a paused run from the beginning.",
    ),
    click.option(
        "--log",
        type=PathName(),
        metavar="FILE.jsonl",
        help="Append each event with its metrics as one line of JSON.",
    ),
    click.option(
        "--tensorboard",
        type=PathName(),
        metavar="DIR",
        help="Write the metrics to DIR for TensorBoard.",
    ),
    click.option(
        "--probes",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Train N small probe networks during the run and log their held-out accuracy.",
    ),
    click.option(
        "--max-memory",
        type=ByteSize(),
        help="Device memory for classes matched concurrently, such as 4GB or 512MB "
        "[default: most of the free memory].",
    ),
    run_options,
)
"""Options of how a run is carried out."""


def condensing_options(recipe: str, seed: str, holdout: str) -> Callable[[Function], Function]:
    """Return a decorator that adds the options of ``compress`` and ``append``.

    Args:
        recipe: Default of `--recipe`, in words.
        seed: Default of `--seed`, likewise.
        holdout: Default of `--holdout`, likewise.
    """
    settings = (
        output_option,
        click.option("--recipe", type=RecipeName(), help=f"Named settings [default: {recipe}]."),
        scale_option,
        click.option("--seed", type=click.IntRange(min=0), help=f"Random seed [default: {seed}]."),
        set_option("match.steps=100"),
        config_option,
        click.option(
            "--holdout",
            type=click.FloatRange(0, 0.9),
            help=f"Fraction of each training class held out for validation [default: {holdout}].",
        ),
        source_options,
    )

    def decorate(function: Function) -> Function:
        for option in reversed((*settings, *_RUN)):
            function = option(function)
        return function

    return decorate


@click.command("compress", short_help="Condense a dataset into one small file.", epilog=DATA_HELP)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Budget: images per class.")
@condensing_options(recipe="fast on a CPU, else best", seed="0", holdout="0.1")
@minutes_option
def compress_command(**arguments: Any) -> None:  # noqa: ANN401
    """Condense DATA into one small file of synthetic training images.

    Ctrl-C pauses the run after the current step. The same command with --resume continues it and
    produces the same bytes as an uninterrupted run (up to rounding on an accelerator).
    """
    condense(arguments)


def condense(arguments: dict[str, Any], onto: "Path | str | None" = None) -> None:
    """Carry out ``compress`` or ``append``, and print what the file holds.

    Args:
        arguments: Values of the data, the budget and :func:`condensing_options`.
        onto: The file that classes are appended to; None: ``compress``.
    """
    from hmnpack.cli.allocator import keep_freed_memory
    from hmnpack.cli.text import stored
    from hmnpack.settings import CompressSettings

    keep_freed_memory()
    options = {"seed": arguments.pop("seed"), "holdout": arguments.pop("holdout")}
    settings = CompressSettings(
        arguments.pop("recipe"), arguments.pop("config_file"), arguments.pop("assignments"), options
    )
    source = make_source_options(pop_source_options(arguments))
    request = Request(**arguments)
    bundle = _run(request, settings, source, onto)
    if is_main_rank():
        click.echo(f"{request.output}: {stored(bundle.manifest)}")


def _run(
    request: Request,
    settings: "CompressSettings",
    source_options: "SourceOptions",
    onto: "Path | str | None",
) -> "Bundle":
    import hmnpack
    from hmnpack.cli.progress import progress_display
    from hmnpack.cli.show import console
    from hmnpack.runtime.log import together

    out, quiet = console(stderr=True), request.quiet or not is_main_rank()
    condense: Any = partial(hmnpack.compress, minutes=request.minutes)
    if onto is not None:
        condense = partial(hmnpack.append, onto)
    with contextlib.ExitStack() as stack:
        pausing = stack.enter_context(Pausing())
        options = _options(request, pausing)
        logs = stack.enter_context(_logs(request, options))
        bars = stack.enter_context(progress_display(out, quiet=quiet))

        def announce(plan: "Plan") -> None:
            pausing.begin()
            if not quiet:
                out.print(_announcement(plan, request.output))

        bundle: Bundle = condense(
            request.data,
            request.ipc,
            recipe=settings.recipe,
            settings=settings.settings,
            output=request.output,
            options=options,
            source_options=source_options,
            listener=together(bars, logs),
            on_plan=announce,
            scale=request.scale,
        )
        return bundle


def _options(request: Request, pausing: "Pausing") -> "RunOptions":
    from hmnpack import RunOptions

    return RunOptions(
        device=request.device,
        resume=request.resume,
        force=request.force,
        max_minutes=request.max_minutes,
        should_pause=lambda: pausing.requested,
        max_memory=request.max_memory,
        probes=request.probes,
    )


@contextlib.contextmanager
def _logs(request: Request, options: "RunOptions") -> "Iterator[Listener]":
    """Yield the listener of `--log` and `--tensorboard`, possibly empty; only rank 0 logs."""
    from hmnpack.cli.text import safe
    from hmnpack.condensing.checkpoint import checkpoint_of
    from hmnpack.condensing.request import check_output
    from hmnpack.runtime.log import JsonLines, TensorBoard, together
    from hmnpack.runtime.output import check_distinct

    if request.log:
        check_distinct(request.log, request.output, "the output")
        check_distinct(request.log, checkpoint_of(request.output), "the checkpoint of the output")
    if not is_main_rank():
        request = replace(request, log=None, tensorboard=None)
    if request.log or request.tensorboard:  # an invalid run must not change the log
        check_output(request.output, options)
    logs: list[TensorBoard | JsonLines] = []
    try:
        with contextlib.ExitStack() as open_logs:
            if request.tensorboard:
                logs.append(open_logs.enter_context(TensorBoard(request.tensorboard)))
            if request.log:
                log = JsonLines(request.log, resumed=request.resume)
                logs.append(open_logs.enter_context(log))
            yield together(*logs)
    finally:
        for each in logs:
            if each.lost:
                click.echo(safe(f"hmnpack: {each.path} is incomplete ({each.lost})"), err=True)


def _announcement(plan: "Plan", output: Path) -> "Table":
    from hmnpack.cli.about_source import source_notes
    from hmnpack.cli.show import facts
    from hmnpack.cli.text import chosen, container, duration, several, shape, size, steps

    source, config, spec, budget = plan.source, plan.config, plan.spec, plan.budget
    kind, grown = plan.device.type, plan.grown
    ledger = spec.ledger() if grown is None else spec.ledger().without_shared()
    rows = (
        ("data", f"{source.name}: {len(source.train.labels):,} images of {shape(source.image)}"),
        ("classes", several(source.classes)),
        *source_notes(plan),
        ("budget", f"{plan.ipc} ipc = {budget.floats:,} floats = {size(budget.bytes)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.each:,} per class"),
        ("stored", f"{ledger.floats:,} floats, in {size(ledger.bytes)}"),
        ("recipe", f"{config.recipe}, seed {config.seed}"),
        ("steps", steps(config)),
        *chosen(plan),
        ("device", plan.device if plan.ranks == 1 else f"{kind}, {plan.ranks} ranks"),
        ("time", duration(plan.cost.seconds)),
    )
    doing = "Compressing" if grown is None else f"Appending to {grown.name},"
    return facts(f"{doing} into {output}", rows)


class Pausing:
    """A context manager that turns the first SIGINT, SIGTERM or SIGHUP into a request to pause.

    A second Ctrl-C interrupts immediately; a closing terminal, too, sends SIGHUP more than once, so
    the other signals do not. Before :meth:`begin` there is nothing to pause, so any signal
    interrupts. One of several ranks is never interrupted, and ignores these signals
    after the block: torchrun sends SIGTERM to ranks that end later than others, and they must
    still be able to print their error. A SIGHUP that is ignored (``nohup``) remains so.

    Attributes:
        requested: Whether to pause.
    """

    def __init__(self) -> None:
        self.requested: bool = False
        self._several = is_one_of_several()
        self._started = self._several

    def begin(self) -> None:
        """From now on, a first signal requests a pause."""
        self._started = True

    def __enter__(self) -> Self:
        signals = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._on_signal) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._several else handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        insisting = self.requested and number == signal.SIGINT
        if (insisting or not self._started) and not self._several:
            ending.interrupt(frame)
            return
        if not self.requested and is_main_rank():
            # Not through sys.stderr: it is not reentrant and may be in the middle of a write.
            with contextlib.suppress(OSError):
                os.write(2, _PAUSING if self._several else _PAUSING_INTERRUPTIBLE)
        self.requested = True
