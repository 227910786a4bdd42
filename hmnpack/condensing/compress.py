"""``compress``: from a dataset to a bundle."""

from collections.abc import Callable, Mapping

import torch

from hmnpack.bundle import Bundle
from hmnpack.condensing.plan import Plan, planned_run
from hmnpack.condensing.request import Request, RunOptions
from hmnpack.condensing.run import carried_out
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import CompressConfig
from hmnpack.sources import Source, SourceOptions


@with_torch_defaults
def compress(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    minutes: float | None = None,
    output: AnyPath | None = None,
    options: RunOptions | None = None,
    source_options: SourceOptions | None = None,
    listener: Listener = no_progress,
    on_plan: Callable[[Plan], object] | None = None,
    scale: float = 1.0,
) -> Bundle:
    """Condense a dataset into a bundle.

    Under ``torchrun`` all ranks must call it with the same arguments. Each handles a share of the
    classes; rank 0 writes the file and calls the listener; all return the bundle.

    Args:
        data: Anything that :func:`hmnpack.open_source` accepts, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of a recipe; None: ``fast`` on a CPU or for a given time, else ``best``.
        config: The settings, instead of a recipe.
        settings: Overrides, nested or by dotted path: `match.steps`.
        minutes: Time of the run. It measures the device and fits itself to the time: networks of
            the pool, their width and training, steps and views. The bundle records the settings;
            a run with them and without a time gives the same bytes on the same kind of device.
            None: the settings depend on the dataset's shape and classes alone.
        output: Path of the bundle; the checkpoint is written beside it, as ``<output>.ckpt``.
            None: nothing is written, and the run cannot be resumed.
        options: Device, resuming, limits.
        source_options: How to read the dataset.
        listener: Called with the progress.
        on_plan: Called once on rank 0 with the plan, after the dataset is opened and before the
            first step.
        scale: Fraction of the recipe's iterations, above 0 and at most 1: a shorter run. Settings
            that are given override it.

    Returns:
        The bundle; also written to ``output``, if given.

    Raises:
        BadData: if there are fewer than two classes.
        BadSettings: for an unknown setting, an invalid value, a time that is too short, or an
            output that cannot be written.
        BudgetTooSmall: if no container fits the budget.
        OutputExists: if the output exists, an unfinished run would be overwritten, or another run
            is writing the output. If the output appears during the run, the message says how to
            write the result, which is kept.
        Paused: if the run was paused; continue it with ``resume``.
        Diverged: if a loss became infinite or NaN.
        RankLost: if another rank exited early.
        KeyboardInterrupt: after Ctrl-C and, with an output, after the checkpoint was written.
    """
    request = Request(output, options, source_options, listener, on_plan, minutes=minutes)
    ipc = as_integer(ipc)

    def planner(device: torch.device) -> Plan:
        return planned_run(
            *(data, ipc),
            recipe=recipe,
            config=config,
            settings=settings,
            minutes=minutes,
            device=device,
            source_options=request.source_options,
            listener=listener,
            scale=scale,
        )

    return carried_out(planner, request)
