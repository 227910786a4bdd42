"""Recipes by name: settings of a whole run (no torch, so that a command line can ask)."""

from hmnpack.registry import Registry
from hmnpack.schema import recipes
from hmnpack.schema.config import CompressConfig

DEFAULT_RECIPE = "fast"

RECIPES: Registry[CompressConfig] = Registry("recipe")
"""Every recipe; an unknown name is answered with the near ones."""

for _config in (recipes.SMOKE, recipes.FAST):
    RECIPES.register(_config.recipe)(_config)


def recipe_of(name: str) -> CompressConfig:
    """Return the settings of a recipe.

    Raises:
        BadSettings: if there is none of that name.
    """
    return RECIPES[name]
