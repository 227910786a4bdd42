"""Settings as a user gives them: by recipe or protocol, file, assignments and options."""

from collections.abc import Iterable, Mapping

from hmnpack.errors import BadSettings
from hmnpack.runtime.given import assigned_values, stored_values
from hmnpack.runtime.paths import AnyPath
from hmnpack.schema.config import CompressConfig, PruneConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.nested import leaves
from hmnpack.schema.recipes import DataShape
from hmnpack.settings.merging import merged
from hmnpack.settings.named import CPU_RECIPE, recipe_of

DEFAULT_PROTOCOL = EvaluateConfig()


class CompressSettings:
    """The settings of a run as given: options override assignments, the file and the recipe.

    They are validated at once, before any data is read. The recipe's own values may depend on the
    data, so ``compress`` and ``plan`` take its name and the differences from it.

    Args:
        recipe: Name of a recipe; None: the file's `recipe`, else the device's default.
        file: TOML file of settings, or None.
        assignments: Texts such as ``"match.steps=100"``.
        options: Values by dotted path; None means not given.

    Attributes:
        recipe: Name of the recipe; None if none was given.
        settings: Differences from the recipe, by dotted path.

    Raises:
        BadSettings: for an unknown recipe or setting, or an invalid value.
    """

    def __init__(
        self,
        recipe: str | None,
        file: AnyPath | None,
        assignments: Iterable[str],
        options: Mapping[str, object],
    ) -> None:
        stored = stored_values(file)
        assigned = assigned_values(assignments)
        if "recipe" in assigned:
            raise BadSettings("the recipe cannot be changed by --set; use --recipe")
        named = stored.pop("recipe", None)
        if named is not None and not (isinstance(named, str) and named):
            raise BadSettings(f"setting recipe = {named!r}: must be the name of a recipe")
        layers = (stored, assigned, _given(options))
        self.recipe: str | None = recipe or named
        self.settings: dict[str, object] = {
            path: value for layer in layers for path, value in leaves(layer)
        }
        self.config()

    def config(self, data: DataShape | None = None, default: str = CPU_RECIPE) -> CompressConfig:
        """Return the settings.

        Args:
            data: Shape of the dataset; None: CIFAR-10.
            default: Recipe to use if none was given, see :func:`default_recipe`.
        """
        return merged(recipe_of(self.recipe or default, data), self.settings)


def evaluate_config(
    assignments: Iterable[str],
    options: Mapping[str, object],
    protocol: EvaluateConfig = DEFAULT_PROTOCOL,
    file: AnyPath | None = None,
) -> EvaluateConfig:
    """Return the settings of an evaluation.

    Options override assignments, which override the file, which overrides the protocol.

    Raises:
        BadSettings: for an unknown setting, or an invalid value.
    """
    stored, assigned = stored_values(file), assigned_values(assignments)
    own = stored.pop("protocol", protocol.protocol)
    if "protocol" in assigned or own != protocol.protocol:
        raise BadSettings("the protocol cannot be changed by --set or a file; use --protocol")
    return merged(protocol, stored, assigned, _given(options))


def prune_config(
    assignments: Iterable[str], options: Mapping[str, object], file: AnyPath | None = None
) -> PruneConfig:
    """Return the settings of pruning.

    Options override assignments, which override the file, which overrides the `double-end`
    strategy's defaults.

    Raises:
        BadSettings: for an unknown setting, or an invalid value.
    """
    base = PruneConfig(strategy="double-end")
    return merged(base, stored_values(file), assigned_values(assignments), _given(options))


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {path: value for path, value in options.items() if value is not None}
