"""Settings from a recipe, a TOML file and the command line, later ones over earlier ones."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from hmnpack.errors import BadSettings
from hmnpack.recipes import CPU_RECIPE, recipe_of
from hmnpack.schema.config import CompressConfig, PruneConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import merged

DEFAULT_PROTOCOL = EvaluateConfig()


class CompressSettings:
    """The settings of a run: the options over the assignments, the file, the recipe.

    What was typed is read and checked at once, before any data; the recipe's own values may
    depend on the data, see :meth:`config`.

    Args:
        recipe: Name of a recipe; None takes the file's `recipe`, else the device's.
        file: TOML file of settings, or None.
        assignments: Texts such as ``"match.steps=100"``.
        options: Values by dotted path; those that are None were not given.

    Raises:
        BadSettings: for an unknown recipe or setting, or a value that its setting refuses.
    """

    def __init__(
        self,
        recipe: str | None,
        file: Path | None,
        assignments: Iterable[str],
        options: Mapping[str, object],
    ) -> None:
        stored = _stored(file)
        assigned = _assigned(assignments)
        if "recipe" in assigned:
            raise BadSettings("a recipe is what settings start from; name it by --recipe")
        named = stored.pop("recipe", None)
        if named is not None and not (isinstance(named, str) and named):
            raise BadSettings(f"setting recipe = {named!r}: give the name of a recipe")
        self._recipe = recipe or named
        self._layers = (stored, assigned, _given(options))
        self.config()

    def config(self, data: DataShape | None = None, default: str = CPU_RECIPE) -> CompressConfig:
        """Return the settings.

        Args:
            data: The data set; None: as the recipe is without one.
            default: Recipe to take if none was named: see ``hmnpack.recipes.default_recipe``.
        """
        name = str(self._recipe or default)
        return merged(recipe_of(name, data), *self._layers, {"recipe": name})


def evaluate_config(
    assignments: Iterable[str],
    options: Mapping[str, object],
    protocol: EvaluateConfig = DEFAULT_PROTOCOL,
    file: Path | None = None,
) -> EvaluateConfig:
    """Return how a bundle is judged: the options over the assignments, the file, the protocol.

    Raises:
        BadSettings: for an unknown setting, or a value that its setting refuses.
    """
    return merged(protocol, _stored(file), _assigned(assignments), _given(options))


def prune_config(
    assignments: Iterable[str], options: Mapping[str, object], file: Path | None = None
) -> PruneConfig:
    """Return how a bundle is pruned: the options over the assignments, the file, `double-end`.

    Raises:
        BadSettings: for an unknown setting, or a value that its setting refuses.
    """
    base = PruneConfig(strategy="double-end")
    return merged(base, _stored(file), _assigned(assignments), _given(options))


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {path: value for path, value in options.items() if value is not None}


def _assigned(assignments: Iterable[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise BadSettings(f"--set {text!r} is not KEY=VALUE, such as match.steps=100")
        values[name.strip()] = _value(value.strip())
    return values


def _value(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return text  # so that container.norm=none needs no quotes
    return parsed


def _stored(path: Path | None) -> dict[str, object]:
    """Return what a TOML file holds, or nothing where there is none."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BadSettings(f"{path}: not TOML ({error})") from error
