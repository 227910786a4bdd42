"""The plan of a run, made before its first step: settings, container, budget and cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from hmnpack.condensing.estimate import Estimate, estimate
from hmnpack.condensing.grow import Grown
from hmnpack.condensing.pace import Pace, check_minutes, now
from hmnpack.condensing.preflight import check_classes, check_early
from hmnpack.condensing.scale import scaled
from hmnpack.container import appended_spec, planned
from hmnpack.container.budget import budget_of, check_ipc
from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import joined
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Budget
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import default_recipe, merged, recipe_of, settings_to_record
from hmnpack.sources import Source, SourceOptions, Split, open_source, seen_and_held_out
from hmnpack.sources.lazy import is_in_file

_DEFAULTS = SourceOptions()


@dataclass(frozen=True)
class Plan:
    """What ``compress`` will do with a dataset; made by :func:`plan`.

    Attributes:
        source: The dataset.
        ipc: Budget, in images per class.
        config: The settings, resolved for this dataset.
        spec: Spec of the container that will be stored; it fits the budget. For ``append``, that
            of the new classes alone, with what they share with those of the file.
        budget: The budget, in floats and bytes; for ``append``, that of the new classes.
        device: Device of the run.
        ranks: Number of processes that share the work.
        grown: The file that ``append`` appends the classes to, or None.
        pace: How a run of a given time chooses its settings; None: they are given.
    """

    source: Source
    ipc: int
    config: CompressConfig
    spec: ContainerSpec
    budget: Budget
    device: torch.device
    ranks: int = 1
    grown: Grown | None = None
    pace: Pace | None = None

    @cached_property
    @with_torch_defaults
    def cost(self) -> Estimate:
        """Operations, seconds and bytes of every stage.

        The first access measures the device's speed, which takes a fraction of a second. The
        seconds of a run of a given time are those that its settings were chosen by.
        """
        found = estimate(
            *(self.config, self.spec, len(self.source.train), self.device, self.ranks),
            ipc=self.ipc,
            in_file=is_in_file(self.source.train.pixels),
        )
        return found.with_seconds(self.pace.seconds if self.pace else {})

    def timed(self, pace: Pace) -> "Plan":
        """Return the plan with the settings that a time has chosen."""
        settings_to_record(pace.config, self.source.shape)
        return replace(self, config=pace.config, pace=pace)

    def seen(self) -> Split:
        """Return the images of the training split that are condensed."""
        return seen_and_held_out(self.source.train, self.config.holdout, self.config.seed)[0]


@with_torch_defaults
def plan(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    minutes: float | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULTS,
    listener: Listener = no_progress,
    scale: float = 1.0,
) -> Plan:
    """Return what ``compress`` would do with the same arguments, without training anything.

    Under ``torchrun`` all ranks must call it: rank 0 opens the dataset first, and its listener
    alone is called.

    Args:
        data: Anything that :func:`hmnpack.open_source` accepts, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of a recipe; None: ``fast`` on a CPU or for a given time, else ``best``.
        config: The settings, instead of a recipe.
        settings: Overrides, nested or by dotted path: `match.steps`.
        minutes: Fit the settings to a run of this time on this device, whose speed is measured
            first; None: they depend on the dataset's shape and classes alone.
        device: Device of the run: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How to read the dataset.
        listener: Called with the progress of opening the dataset.
        scale: Fraction of the recipe's iterations, above 0 and at most 1: a shorter run. Settings
            that are given override it.

    Raises:
        BadData: if the dataset is invalid or has fewer than two classes.
        BadSettings: for an unknown setting, an invalid value, or settings that are incompatible
            with each other, the images, the ranks or the time, or a time that is too short.
        BudgetTooSmall: if no container fits the budget.
    """
    begun = now()
    found = planned_run(
        data,
        ipc,
        recipe=recipe,
        config=config,
        settings=settings,
        minutes=minutes,
        device=choose_device(device),
        source_options=source_options,
        listener=listener,
        scale=scale,
    )
    if minutes is None:
        return found
    pace = Pace(found.config, minutes, begun)
    pace.begin(found.seen(), found.spec, found.device)
    return found.timed(pace)


def planned_run(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    *,
    recipe: str | None,
    config: CompressConfig | None,
    settings: Mapping[str, object] | None,
    minutes: float | None,
    device: torch.device,
    source_options: SourceOptions,
    listener: Listener,
    scale: float,
) -> Plan:
    """Return the plan before its settings are fitted to a time; see :func:`plan`.

    The device is one that ``choose_device`` returned: under ``torchrun``, this process's own.
    """
    if config is not None and recipe is not None:
        raise BadSettings("recipe and config are two sets of settings; give only one of them")
    budget = as_integer(ipc)
    if minutes is not None:
        with joined(device) as world:
            check_minutes(minutes, settings or {}, scale, world.size)
    named = recipe or default_recipe("cpu" if minutes is not None else device.type)
    return plan_of(
        *(data, budget, device, source_options, listener),
        settings=lambda shape: merged(
            scaled(config or recipe_of(named, shape, budget), scale), settings or {}
        ),
    )


def plan_of(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    device: torch.device,
    source_options: SourceOptions,
    listener: Listener,
    *,
    settings: Callable[[DataShape | None], CompressConfig],
    grown: Grown | None = None,
) -> Plan:
    """Return the plan of a run; see :func:`plan`.

    Args:
        data: Anything that :func:`hmnpack.open_source` accepts, or an open source.
        ipc: Budget, in images per class.
        device: Device of the run.
        source_options: How to read the dataset.
        listener: Called with the progress of opening the dataset.
        settings: The settings for a shape of data; None: for any, to check their names.
        grown: The file that the classes are appended to, or None.
    """
    check_ipc(ipc)
    settings(None)  # rejects unknown settings before the dataset is opened, which can take minutes
    with joined(device) as world:
        with world.leader_first():
            rank_listener = listener if world.rank == 0 else no_progress
            source = open_source(data, source_options, rank_listener, needs_test=False)
        check_classes(source)
        if grown is not None:
            grown.check(source)
        config = settings(source.shape)
        settings_to_record(config, source.shape)  # raises if a file cannot hold them
        spec = spec_of(ipc, source, config, grown)
        check_early(config, spec, world)
        budget = budget_of(ipc, len(source.classes), source.image)
        return Plan(source, ipc, config, spec, budget, device, world.size, grown)


def spec_of(
    ipc: int,
    source: Source,
    config: CompressConfig,
    grown: Grown | None,
    *,
    over_budget: bool = False,
) -> ContainerSpec:
    """Return the container of a run.

    Args:
        ipc: Budget, in images per class.
        source: The dataset.
        config: The settings.
        grown: The file that the classes are appended to, or None.
        over_budget: Use the number of images of over-budget condensation.
    """
    classes = len(source.classes)
    if grown is not None:
        return appended_spec(grown.spec, ipc, classes, over_budget=over_budget)
    return planned(ipc, classes, source.image, config.container, over_budget=over_budget)
