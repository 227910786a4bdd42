"""Settings as a file records them: a recipe, and what differs from it."""

from hmnpack.errors import BadSettings
from hmnpack.registry import RECIPES
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.manifest import Made, Manifest
from hmnpack.schema.nested import leaves, setting_names, whole
from hmnpack.schema.opaque import Opaque, opaque_fault
from hmnpack.schema.recipes import DataShape
from hmnpack.settings.merging import difference, merged, of_kind
from hmnpack.settings.named import CPU_RECIPE, recipe_of, shape_of_file

KEYS = frozenset({"recipe", "seed", "holdout"})
"""Settings that are manifest keys of their own because readers use them."""


def settings_to_record(config: CompressConfig, data: DataShape) -> Opaque | None:
    """Return the settings that a manifest records besides recipe, seed and holdout.

    Args:
        config: The settings of a run.
        data: Shape of the dataset.

    Returns:
        The nested differences from the recipe's settings for such data, None if there are none;
        every setting if no recipe has that name.

    Raises:
        BadSettings: if a file cannot hold them.
    """
    if config.recipe in RECIPES:
        changes = difference(config, recipe_of(config.recipe, data))
    else:
        changes = whole(config)
    return recordable({name: value for name, value in changes.items() if name not in KEYS})


def recorded_settings(manifest: Manifest) -> CompressConfig | None:
    """Return the settings that a file was made with, or None if it records no recipe.

    Decoding does not need them; they document the run.

    Raises:
        BadSettings: if this version does not know the recipe or a setting.
    """
    return recorded_settings_for(manifest, shape_of_file(manifest))


def recorded_settings_for(made: Manifest | Made, data: DataShape | None) -> CompressConfig | None:
    """Return the recipe that a file records, with its differences, for data of some shape.

    Args:
        made: What records them; a seed, if there is one, and the held-out fraction are kept.
        data: Shape of the dataset; None: CIFAR-10.

    Returns:
        None if no recipe is recorded.

    Raises:
        BadSettings: if this version does not know the recipe or a setting.
    """
    name, config = made.recipe, made.config or {}
    if name is None:
        return None
    given = {"recipe": name, "seed": made.seed, "holdout": made.holdout}
    keys = {key: value for key, value in given.items() if value is not None}
    try:
        # A custom recipe name comes with every setting, so that nothing of the base remains.
        own = of_kind(recipe_of(CPU_RECIPE), (config,))
        is_own = {path for path, _ in leaves(config)} == set(setting_names(own)) - KEYS
        return merged(recipe_of(CPU_RECIPE if is_own else name, data), config, keys)
    except BadSettings as error:
        reason = str(error).partition("; ")[0]
        raise BadSettings(
            f"this version of hmnpack does not support the settings of the file ({reason})"
        ) from error


def recordable(changes: Opaque) -> Opaque | None:
    """Return settings as a file stores them: None if there are none.

    Raises:
        BadSettings: if a file cannot hold them.
    """
    fault = opaque_fault(changes)
    if fault:
        raise BadSettings(f"a file cannot hold these settings: the changed part {fault}")
    return changes or None
