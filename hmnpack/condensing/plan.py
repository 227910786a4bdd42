"""The plan of a run, made before its first step: settings, container, budget and cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from hmnpack.condensing.estimate import Estimate, estimate
from hmnpack.condensing.preflight import check_classes, check_early
from hmnpack.container import planned
from hmnpack.container.budget import budget_of
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
from hmnpack.settings import default_recipe, merged, recipe_of, settings_to_record
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.sources.lazy import is_in_file

_DEFAULTS = SourceOptions()


@dataclass(frozen=True)
class Plan:
    """What ``compress`` will do with a dataset; made by :func:`plan`.

    Attributes:
        source: The dataset.
        ipc: Budget, in images per class.
        config: The settings, resolved for this dataset.
        spec: Spec of the container that will be stored; it fits the budget.
        budget: The budget, in floats and bytes.
        device: Device of the run.
        ranks: Number of processes that share the work.
    """

    source: Source
    ipc: int
    config: CompressConfig
    spec: ContainerSpec
    budget: Budget
    device: torch.device
    ranks: int = 1

    @cached_property
    @with_torch_defaults
    def cost(self) -> Estimate:
        """Operations, seconds and bytes of every stage.

        The first access measures the device's speed, which takes a fraction of a second.
        """
        return estimate(
            *(self.config, self.spec, len(self.source.train), self.device, self.ranks),
            ipc=self.ipc,
            mapped=is_in_file(self.source.train.pixels),
        )


@with_torch_defaults
def plan(  # noqa: PLR0913
    data: AnyPath | Source,
    ipc: int,
    *,
    recipe: str | None = None,
    config: CompressConfig | None = None,
    settings: Mapping[str, object] | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULTS,
    listener: Listener = no_progress,
) -> Plan:
    """Return what ``compress`` would do with the same arguments, without training anything.

    Under ``torchrun`` all ranks must call it: rank 0 opens the dataset first, and its listener
    alone is called.

    Args:
        data: Anything that :func:`hmnpack.open_source` accepts, or an open source.
        ipc: Budget, in images per class.
        recipe: Name of a recipe; None: ``fast`` on a CPU, otherwise ``best``.
        config: The settings, instead of a recipe.
        settings: Overrides, nested or by dotted path: `match.steps`.
        device: Device of the run: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How to read the dataset.
        listener: Called with the progress of opening the dataset.

    Raises:
        BadData: if the dataset is invalid or has fewer than two classes.
        BadSettings: for an unknown setting, an invalid value, or settings that are incompatible
            with each other, the images or the ranks.
        BudgetTooSmall: if no container fits the budget.
    """
    ipc = as_integer(ipc)
    place = choose_device(device)
    if config is not None and recipe is not None:
        raise BadSettings("recipe and config are two sets of settings; give only one of them")
    recipe = recipe or default_recipe(place.type)
    # Reject unknown settings before the dataset is opened, which can take minutes.
    merged(config or recipe_of(recipe), settings or {})
    with joined(place) as world:
        with world.leader_first():
            rank_listener = listener if world.rank == 0 else no_progress
            source = open_source(data, source_options, rank_listener, needs_test=False)
        check_classes(source)
        config = merged(config or recipe_of(recipe, source.shape), settings or {})
        settings_to_record(config, source.shape)  # raises if a file cannot hold them
        classes, image = len(source.classes), source.image
        spec = planned(ipc, classes, image, config.container)
        check_early(config, spec, world)
        budget = budget_of(ipc, classes, image)
        return Plan(source, ipc, config, spec, budget, place, world.size)
