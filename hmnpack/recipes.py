"""Recipes by name: settings of a whole run (no torch, so that a command line can ask)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hmnpack.registry import Registry
from hmnpack.schema import recipes
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.recipes import DataShape

if TYPE_CHECKING:
    from hmnpack.sources import Source

CPU_RECIPE = "fast"
ACCELERATOR_RECIPE = "best"

RECIPES: Registry[CompressConfig] = Registry("recipe")
"""Every recipe, as it is for CIFAR-10; an unknown name is answered with the near ones."""

FITTED: dict[str, Callable[[DataShape], CompressConfig]] = {"paper": recipes.paper}
"""The recipes among them whose settings depend on the data set."""

for _config in (recipes.SMOKE, recipes.FAST, recipes.BEST, recipes.paper()):
    RECIPES.register(_config.recipe)(_config)


def default_recipe(device: str) -> str:
    """Return the name of the recipe to take where none is named.

    Args:
        device: Kind of device: ``cpu``, ``cuda``, ...
    """
    return CPU_RECIPE if device == "cpu" else ACCELERATOR_RECIPE


def recipe_of(name: str, data: DataShape | None = None) -> CompressConfig:
    """Return the settings of a recipe.

    Args:
        name: Its name.
        data: The data set that it is for, see :func:`shape_of`; None: CIFAR-10.

    Raises:
        BadSettings: if there is none of that name.
    """
    found = RECIPES[name]
    return FITTED[name](data) if data is not None and name in FITTED else found


def shape_of(source: "Source") -> DataShape:
    """Return what a recipe may depend on, of an open data set."""
    return DataShape(name=source.name, classes=len(source.classes), image=source.image)


def needs_pool(config: CompressConfig) -> bool:
    """Return whether a run matches features, which is all that the pool is trained for."""
    return config.match.steps > 0
