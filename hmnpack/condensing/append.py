"""``append``: condense new classes into a file, beside those that it has.

The dataset memory and the decoder are frozen as they are stored. New classes get memories and
extractors of their own, learned as ``compress`` learns them, from the data of the new classes
alone: neither real nor decoded images of earlier classes are used.
"""

from collections.abc import Callable, Mapping

import torch

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile, name_of_file
from hmnpack.condensing.grow import Grown, check_container_settings
from hmnpack.condensing.plan import Plan, plan_of
from hmnpack.condensing.request import Request, RunOptions
from hmnpack.condensing.run import carried_out
from hmnpack.condensing.scale import scaled
from hmnpack.errors import BadSettings
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.nested import leaves
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import default_recipe, merged, recipe_of
from hmnpack.sources import Source, SourceOptions


@with_torch_defaults
def append(  # noqa: PLR0913
    file: AnyFile | Bundle,
    data: AnyPath | Source,
    ipc: int | None = None,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    output: AnyPath | None = None,
    options: RunOptions | None = None,
    source_options: SourceOptions | None = None,
    listener: Listener = no_progress,
    on_plan: Callable[[Plan], object] | None = None,
    scale: float = 1.0,
) -> Bundle:
    """Condense the classes of a dataset into a bundle, after those that it has.

    The stored tensors of the bundle's images do not change, and the new classes share its decoder.
    Its data are not needed. Budgets add up; since the decoder is stored already, new classes have
    more images than the first ones. Scores are removed, because they belong to fewer images.

    Args:
        file: A `.hmn` file, or a bundle: a Hierarchical Memory Network, or independent images
            (`images/1`, `multi-formation/1`).
        data: The new classes, two or more: anything that :func:`hmnpack.open_source` accepts, or an
            open source. Choose classes of a dataset with ``source_options``.
        ipc: Budget of the new classes, in images per class; None: that of the file.
        recipe: Name of a recipe; None: the recipe, with all settings, that the file records, else
            ``fast`` on a CPU, otherwise ``best``.
        config: The settings, instead of a recipe. Those of the container are the file's.
        settings: Overrides, nested or by dotted path: `match.steps`.
        output: Path of the new bundle; see ``compress``.
        options: Device, resuming, limits.
        source_options: How to read the dataset; images are resized as for the file by default.
        listener: Called with the progress.
        on_plan: Called once on rank 0 with the plan of the new classes, before the first step.
        scale: Fraction of the iterations, above 0 and at most 1: a shorter run. Settings that are
            given override it.

    Returns:
        The bundle with all classes; also written to ``output``, if given.

    Raises:
        BadBundle: if the file violates FORMAT.md.
        BadData: if there are fewer than two new classes, the file has one of them already, or
            images have another shape.
        BadSettings: if nothing can be appended to such a container; for a setting of the container,
            an unknown setting, an invalid value, or an output that cannot be written.
        BudgetTooSmall: if not even one image of a new class fits the budget.
        OutputExists: if the output exists, an unfinished run would be overwritten, or another run
            is writing the output.
        Paused: if the run was paused; continue it with ``resume``.
        Diverged: if a loss became infinite or NaN.
        RankLost: if another rank exited early.
        KeyboardInterrupt: after Ctrl-C and, with an output, after the checkpoint was written.
    """
    if config is not None and recipe is not None:
        raise BadSettings("recipe and config are two sets of settings; give only one of them")
    check_container_settings([path for path, _ in leaves(settings or {})])
    grown = _grown(file)
    budget = grown.ipc if ipc is None else as_integer(ipc)
    read_as = grown.read_as(source_options or SourceOptions())

    def settings_for(device: torch.device, shape: DataShape | None) -> CompressConfig:
        named = recipe and recipe_of(recipe, shape, budget)
        base = config or named or grown.settings_for(shape)
        base = base or recipe_of(default_recipe(device.type), shape)
        return grown.fitted(merged(scaled(base, scale), settings or {}))

    def planned(device: torch.device) -> Plan:
        return plan_of(
            *(data, budget, device, read_as, listener),
            settings=lambda shape: settings_for(device, shape),
            grown=grown,
        )

    return carried_out(planned, Request(output, options, read_as, listener, on_plan))


def _grown(file: AnyFile | Bundle) -> Grown:
    if isinstance(file, Bundle):
        return Grown(file, "the bundle")
    return Grown(read(file), name_of_file(file))
