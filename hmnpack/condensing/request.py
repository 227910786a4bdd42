"""What a caller of ``compress`` or ``append`` wants besides the data and the settings."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hmnpack.condensing.checkpoint import Checkpoint, checkpoint_of
from hmnpack.condensing.pace import now
from hmnpack.condensing.plan import Plan
from hmnpack.errors import BadSettings
from hmnpack.runtime.lock import check_unlocked
from hmnpack.runtime.output import check_output_path
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener
from hmnpack.sources import SourceOptions


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves. Only the kind of device affects the bundle.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ...
        resume: Resume from the checkpoint beside the output, if there is one.
        force: Replace an existing output, and discard a checkpoint that is not resumed.
        max_minutes: Pause after this many minutes; None: no limit.
        checkpoint_seconds: Most seconds between checkpoints; the first come sooner. Infinity: the
            run is saved only when it pauses or fails.
        should_pause: Called after every step and epoch; True pauses the run.
        max_memory: Memory limit on an accelerator for the activations of one chunk of classes plus
            the view cache, in bytes; None: most of the free memory.
        probes: Probe networks trained at even intervals of each matching stage and tested on
            held-out images; 0: none.
        unpruned: Path at which to also write the bundle before it is pruned to the budget, or
            None. An existing file is replaced if ``force`` or ``resume`` is set.

    Raises:
        BadSettings: if ``max_minutes`` is NaN.
    """

    device: str | torch.device = "auto"
    resume: bool = False
    force: bool = False
    max_minutes: float | None = None
    checkpoint_seconds: float = 60.0
    should_pause: Callable[[], bool] = lambda: False
    max_memory: int | None = None
    probes: int = 0
    unpruned: AnyPath | None = None

    def __post_init__(self) -> None:
        if self.max_minutes is not None and math.isnan(self.max_minutes):
            raise BadSettings("max_minutes must be a number of minutes, such as 60, got nan")


def check_output(output: AnyPath, options: RunOptions) -> None:
    """Check, before any work, that a run may write its output and its checkpoint.

    Args:
        output: Path of the output.
        options: Whether to resume, and whether to replace existing files.

    Raises:
        OutputExists: if the output exists, an unfinished run would be overwritten, or another run
            is writing the output.
        BadSettings: if the output cannot be written.
    """
    output = path_of(output)
    check_free(output, options)
    check_unlocked(output)


def check_free(output: Path, options: RunOptions) -> None:
    """Check that the output and its checkpoint are free; see :func:`check_output`."""
    check_output_path(output, force=options.force)
    checkpoint = Checkpoint(checkpoint_of(output))
    checkpoint.check_free(resume=options.resume, force=options.force)


class Request:
    """What a caller of ``compress`` or ``append`` wants besides the data and the settings.

    Args:
        output: Path of the bundle, or None.
        options: Device, resuming, limits; None: the defaults.
        source_options: How to read the dataset; None: the defaults.
        listener: Called with the progress.
        on_plan: Called once on rank 0 with the plan, or None.
        minutes: Time of the run, which begins now; None: as long as its settings take.
    """

    def __init__(
        self,
        output: AnyPath | None,
        options: RunOptions | None,
        source_options: SourceOptions | None,
        listener: Listener,
        on_plan: Callable[[Plan], object] | None,
        *,
        minutes: float | None = None,
    ) -> None:
        self.begun: float = now()
        self.minutes: float | None = minutes
        self.output: Path | None = None if output is None else path_of(output)
        self.options: RunOptions = options or RunOptions()
        self.source_options: SourceOptions = source_options or SourceOptions()
        self.listener: Listener = listener
        self.on_plan: Callable[[Plan], object] | None = on_plan
