"""Settings from recipes, files and dotted paths; later layers override earlier ones.

A dotted path looks like ``match.steps``. The merged settings are validated as a whole.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from hmnpack.errors import BadSettings, BadValue
from hmnpack.registry import PROTOCOLS, RECIPES, unknown_name
from hmnpack.runtime.given import assigned_values, stored_values
from hmnpack.runtime.numbers import is_scalar
from hmnpack.runtime.paths import AnyPath
from hmnpack.schema import recipes, rivals, rivals_trained
from hmnpack.schema.base import MAX_INTEGER
from hmnpack.schema.config import CompressConfig, PruneConfig
from hmnpack.schema.depth import shallow_enough
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.kinds import CONTAINERS, kinds_with, switched
from hmnpack.schema.manifest import Made, Manifest
from hmnpack.schema.methods import METHODS
from hmnpack.schema.nested import as_document, leaves, setting_names, whole
from hmnpack.schema.opaque import Opaque, opaque_fault
from hmnpack.schema.recipes import DataShape

Model = TypeVar("Model", bound=BaseModel)

CPU_RECIPE = "fast"
ACCELERATOR_RECIPE = "best"

KEYS = frozenset({"recipe", "seed", "holdout"})
"""Settings that are manifest keys of their own because readers use them."""

FITTED: dict[str, Callable[[DataShape], CompressConfig]] = {"paper": recipes.paper}
"""Recipes whose settings depend on the dataset."""

BY_BUDGET: dict[str, Callable[[DataShape, int], CompressConfig]] = {
    "dc": rivals.dc,
    "dsa": rivals.dsa,
    "dm": rivals.dm,
    "idc": rivals.idc,
    "cafe": rivals_trained.cafe,
    "cafe-dsa": rivals_trained.cafe_dsa,
    "idm": rivals_trained.idm,
    "mtt": rivals_trained.mtt,
}
"""Recipes whose settings depend on the dataset and on the budget in images per class."""

DEFAULT_PROTOCOL = EvaluateConfig()


def merged(base: Model, *layers: Mapping[str, object]) -> Model:
    """Return the model with the layers applied in order, validated as a whole.

    Args:
        base: The settings to start from.
        layers: Values by dotted path, or nested.

    Example:
        >>> from hmnpack.schema.config import PruneConfig
        >>> merged(PruneConfig(), {"train.epochs": 7}).train.epochs
        7

    Raises:
        BadSettings: for an unknown setting, or an invalid value.
    """
    kind = type(base)
    base = _of_kind(base, layers)
    known = list(setting_names(base))
    document = as_document(base)
    for layer in layers:
        for path, value in leaves(layer):
            if path not in known:
                raise BadSettings(f"unknown setting {path!r}; {_did_you_mean(path, known)}")
            _put(document, path, value)
    for path, value in leaves(document):
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise BadValue(path, value, f"the largest integer in a file is {MAX_INTEGER:,}")
    try:
        # Strict JSON mode accepts a list as a tuple, but neither true nor "1" as 1.
        return kind.model_validate_json(json.dumps(document, default=_not_json), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = list(map(str, first["loc"]))
        if place[0] in ("container", "rival") and len(place) > 1:
            del place[1]  # the kind or method, by which pydantic tells their settings apart
        raise BadValue(".".join(place), first["input"], first["msg"]) from error


def difference(model: Model, base: Model) -> dict[str, JsonValue]:
    """Return the nested settings that differ, so that ``merged(base, difference)`` is the model.

    Args:
        model: The settings.
        base: The settings to compare with.
    """
    changes: dict[str, JsonValue] = {}
    for name, value in model:
        other = getattr(base, name)
        if isinstance(value, BaseModel) and type(value) is type(other):
            if inner := difference(value, other):
                changes[name] = inner
        elif isinstance(value, BaseModel) and name == "rival":
            changes[name] = whole(value)
        elif isinstance(value, BaseModel):
            own = value.model_dump(include={"kind"})
            changes[name] = own | difference(value, switched(other, own["kind"]))
        elif value != other:
            changes[name] = json.loads(json.dumps(value))
    return changes


def _of_kind(base: Model, layers: Iterable[Mapping[str, object]]) -> Model:
    """Return the settings with the kind of container that the last of the layers chooses."""
    layers = list(layers)
    given = [pair for layer in layers for pair in leaves(layer)]
    for layer in layers:
        base = _with_method(base, layer.get("rival"))
    _check_method(base, given)
    kinds = [value for path, value in given if path == "container.kind"]
    if not kinds or not isinstance(base, CompressConfig) or kinds[-1] == base.container.kind:
        return base
    if kinds[-1] not in list(CONTAINERS):
        raise unknown_name("container.kind", str(kinds[-1]), CONTAINERS)
    return base.model_copy(update={"container": switched(base.container, str(kinds[-1]))})


def _check_method(base: BaseModel, given: Iterable[tuple[str, object]]) -> None:
    """Raise if a setting names another method than the recipe's: their settings differ."""
    if not isinstance(base, CompressConfig) or base.rival is None:
        return
    other = [v for path, v in given if path == "rival.method" and v != base.rival.method]
    if other:
        raise BadSettings(
            f"setting rival.method = {other[0]!r}: the method is the recipe's; name one with "
            f"--recipe, such as {' or '.join(METHODS)}"
        )


def _with_method(base: Model, given: object) -> Model:
    """Return the settings with a method whose settings are all given, if that is another one."""
    if not isinstance(base, CompressConfig) or not isinstance(given, Mapping):
        return base
    name, now = given.get("method"), base.rival
    if name is None or (now is not None and now.method == name):
        return base
    if name not in list(METHODS):
        raise unknown_name("rival.method", str(name), METHODS)
    try:
        own = METHODS[str(name)].model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadValue(f"rival.{first['loc'][0]}", first["input"], first["msg"]) from error
    return base.model_copy(update={"rival": own})


def _not_json(value: object) -> object:
    """Return a number of numpy as Python's; raise for other values, such as a TOML date."""
    if is_scalar(value):
        return value.item()
    raise BadSettings(
        f"{value} is a {type(value).__name__}, a type that no setting has; quote it if it is text"
    )


def _put(document: dict[str, Any], path: str, value: object) -> None:
    if is_scalar(value):
        value = value.item()
    *groups, name = path.split(".")
    for group in groups:
        document = document[group]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e4 steps are 10,000
    document[name] = value


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    group, _, setting = name.partition(".")
    if group == "container" and (kinds := kinds_with(setting)):
        return f"it belongs to container.kind={' or '.join(kinds)}"
    if group == "rival" and (own := recipes_with(setting)):
        return f"it belongs to --recipe {' or '.join(own)}"
    names = list(known)
    below = [other for other in names if other.startswith(f"{name}.")]
    tail = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    near = below or get_close_matches(name, names, n=3, cutoff=0.6) or tail or names
    return f"did you mean {' or '.join(near[:6])}?"


def recipes_with(setting: str) -> list[str]:
    """Return the recipes of methods to compare with that have a setting of this name."""
    rivals = {name: config.rival for name in RECIPES if (config := RECIPES[name]).rival}
    return [name for name, rival in rivals.items() if setting in setting_names(rival)]


def default_recipe(device: str) -> str:
    """Return the name of the default recipe.

    Args:
        device: Device type: ``cpu``, ``cuda``, ...
    """
    return CPU_RECIPE if device == "cpu" else ACCELERATOR_RECIPE


def recipe_of(name: str, data: DataShape | None = None, ipc: int = 1) -> CompressConfig:
    """Return the settings of a recipe.

    ConvNets are only as deep as the images allow.

    Args:
        name: Name of the recipe.
        data: Shape of the dataset, see ``Source.shape``; None: CIFAR-10.
        ipc: Budget, in images per class.

    Raises:
        BadSettings: if the recipe is unknown.
    """
    found = RECIPES[name]
    if name in BY_BUDGET:
        found = BY_BUDGET[name](data or recipes.CIFAR10, ipc)
    elif data is not None and name in FITTED:
        found = FITTED[name](data)
    return found if data is None else shallow_enough(found, data.image)


def shape_of_file(manifest: Manifest) -> DataShape:
    """Return the shape of the dataset that a file was made from."""
    return DataShape(
        name=manifest.source.name, classes=len(manifest.classes), image=manifest.container.image
    )


def protocol_of(name: str, manifest: Manifest) -> EvaluateConfig:
    """Return the settings of a protocol for a bundle's dataset and budget.

    A ConvNet is only as deep as the images allow.

    Args:
        name: Name of the protocol.
        manifest: Manifest of the bundle.

    Raises:
        BadSettings: if the protocol is unknown.
    """
    data = shape_of_file(manifest)
    return shallow_enough(PROTOCOLS[name](data, manifest.nearest_ipc), data.image)


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
        own = _of_kind(recipe_of(CPU_RECIPE), (config,))
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
