"""Settings from recipes, files and dotted paths; later layers override earlier ones."""

from hmnpack.settings.given import CompressSettings, evaluate_config, prune_config
from hmnpack.settings.merging import difference, merged
from hmnpack.settings.named import (
    default_recipe,
    protocol_for,
    protocol_of,
    recipe_of,
    shape_of_file,
)
from hmnpack.settings.recorded import (
    recordable,
    recorded_settings,
    recorded_settings_for,
    settings_to_record,
)

__all__ = [
    "CompressSettings",
    "default_recipe",
    "difference",
    "evaluate_config",
    "merged",
    "protocol_for",
    "protocol_of",
    "prune_config",
    "recipe_of",
    "recordable",
    "recorded_settings",
    "recorded_settings_for",
    "settings_to_record",
    "shape_of_file",
]
