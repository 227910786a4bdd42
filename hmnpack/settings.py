"""Settings by name (recipes), by file and by dotted path, later ones over earlier ones.

A path is such as ``match.steps``; what comes out is checked as a whole.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from hmnpack.errors import BadSettings
from hmnpack.registry import Registry
from hmnpack.schema import recipes
from hmnpack.schema.base import MAX_INTEGER
from hmnpack.schema.config import CompressConfig, PruneConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.opaque import Opaque, opaque_fault
from hmnpack.schema.recipes import DataShape

Model = TypeVar("Model", bound=BaseModel)

CPU_RECIPE = "fast"
ACCELERATOR_RECIPE = "best"

KEYS = frozenset({"recipe", "seed", "holdout"})
"""Settings that are keys of a manifest, as readers use them."""

RECIPES: Registry[CompressConfig] = Registry("recipe")
"""Every recipe, as it is for CIFAR-10; an unknown name is answered with the near ones."""

FITTED: dict[str, Callable[[DataShape], CompressConfig]] = {"paper": recipes.paper}
"""The recipes among them whose settings depend on the data set."""

for _config in (recipes.SMOKE, recipes.FAST, recipes.BEST, recipes.paper()):
    RECIPES.register(_config.recipe)(_config)

DEFAULT_PROTOCOL = EvaluateConfig()


def merged(base: Model, *layers: Mapping[str, object]) -> Model:
    """Return the model with each layer's values over those before, checked again as a whole.

    Args:
        base: The settings to start from.
        layers: Values by dotted path or nested.

    Example:
        >>> from hmnpack.schema.config import PruneConfig
        >>> merged(PruneConfig(), {"train.epochs": 7}).train.epochs
        7

    Raises:
        BadSettings: for an unknown setting, or a value that its setting refuses.
    """
    kind = type(base)
    known = list(setting_names(kind))
    document = _document(base)
    for layer in layers:
        for path, value in leaves(layer):
            if path not in known:
                raise BadSettings(f"unknown setting {path!r}; {_did_you_mean(path, known)}")
            _put(document, path, value)
    for path, value in leaves(document):
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise BadSettings(
                f"setting {path} = {value}: no file may hold more than {MAX_INTEGER:,}"
            )
    try:
        # As JSON, whose strict reading takes a list for a tuple, but neither true nor "1" for 1.
        return kind.model_validate_json(json.dumps(document, default=_refused), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise BadSettings(f"setting {path} = {first['input']!r}: {first['msg']}") from error


def difference(model: Model, base: Model) -> dict[str, JsonValue]:
    """Return what differs in a model from another, nested: ``merged(base, it)`` is the model.

    Args:
        model: The settings.
        base: What they are compared with.
    """
    changes: dict[str, JsonValue] = {}
    for name, value in model:
        other = getattr(base, name)
        if isinstance(value, BaseModel) and type(value) is type(other):
            if inner := difference(value, other):
                changes[name] = inner
        elif value != other:
            changes[name] = json.loads(json.dumps(value))
    return changes


def whole(model: BaseModel) -> dict[str, JsonValue]:
    """Return every setting of a model, nested."""
    document: dict[str, JsonValue] = json.loads(json.dumps(_document(model)))
    return document


def _refused(value: object) -> str:
    """Refuse what JSON has not, such as TOML's dates."""
    raise BadSettings(
        f"{value} is a {type(value).__name__}, which no setting is; set text in quotes"
    )


def setting_names(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Give the dotted path of every single setting of a model, such as ``"match.steps"``."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give the dotted path and the value of every single setting of nested ones."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _document(model: BaseModel) -> dict[str, Any]:
    """Return every setting of a model, nested, values as they are."""
    return {
        name: _document(value) if isinstance(value, BaseModel) else value for name, value in model
    }


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *groups, name = path.split(".")
    for group in groups:
        document = document[group]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e4 steps are 10,000
    document[name] = value


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = list(known)
    below = [other for other in names if other.startswith(f"{name}.")]
    tail = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    near = below or get_close_matches(name, names, n=3, cutoff=0.6) or tail or names
    return f"did you mean {' or '.join(near[:6])}?"


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
        data: The data set that it is for, see ``Source.shape``; None: CIFAR-10.

    Raises:
        BadSettings: if there is none of that name.
    """
    found = RECIPES[name]
    return FITTED[name](data) if data is not None and name in FITTED else found


def settings_to_record(config: CompressConfig, data: DataShape) -> Opaque | None:
    """Return what a manifest says of the settings, beside their recipe, seed and holdout.

    Args:
        config: The settings of a run.
        data: The data set that they are for.

    Returns:
        What differs from the recipe's settings for such data, nested, or None where nothing does;
        every setting where there is no recipe of that name.

    Raises:
        BadSettings: if it is more than a file holds.
    """
    if config.recipe in RECIPES:
        changes = difference(config, recipe_of(config.recipe, data))
    else:
        changes = whole(config)
    kept = {name: value for name, value in changes.items() if name not in KEYS}
    return recordable(kept)


def recorded_settings(manifest: Manifest) -> CompressConfig | None:
    """Return the settings that a file was made by, or None where it was made by hand.

    Readers need none of them; this is for what looks into a run.

    Raises:
        BadSettings: if this version has no such recipe or settings.
    """
    name, config = manifest.recipe, manifest.config or {}
    if name is None:
        return None
    given = {"recipe": name, "seed": manifest.seed, "holdout": manifest.holdout}
    keys = {key: value for key, value in given.items() if value is not None}
    data = DataShape(
        name=manifest.source.name, classes=len(manifest.classes), image=manifest.container.image
    )
    try:
        # A name of one's own has every setting beside it, which leaves nothing of this base.
        is_own = {path for path, _ in leaves(config)} == set(setting_names(CompressConfig)) - KEYS
        return merged(recipe_of(CPU_RECIPE if is_own else name, data), config, keys)
    except BadSettings as error:
        reason = str(error).partition("; ")[0]
        raise BadSettings(
            f"this version of hmnpack cannot follow the settings of the file ({reason})"
        ) from error


def recordable(changes: Opaque) -> Opaque | None:
    """Return settings as a file has them: None where there are none.

    Raises:
        BadSettings: if they are more than a file holds.
    """
    fault = opaque_fault(changes)
    if fault:
        raise BadSettings(f"these settings are more than a file holds: what is changed {fault}")
    return changes or None


def needs_pool(config: CompressConfig) -> bool:
    """Return whether a run matches features, which is all that the pool is trained for."""
    return config.match.steps > 0


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
            default: Recipe to take if none was named: see :func:`default_recipe`.
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
    stored, assigned = _stored(file), _assigned(assignments)
    own = stored.pop("protocol", protocol.protocol)
    if "protocol" in assigned or own != protocol.protocol:
        raise BadSettings("a protocol is what settings start from; name it by --protocol")
    return merged(protocol, stored, assigned, _given(options))


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
