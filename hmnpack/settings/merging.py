"""The merge of settings by name: later layers override earlier ones.

A dotted path looks like ``match.steps``. The merged settings are validated as a whole.
"""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from hmnpack.errors import BadSettings, BadValue
from hmnpack.registry import RECIPES, unknown_name
from hmnpack.runtime.numbers import is_scalar
from hmnpack.schema.base import MAX_INTEGER
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.kinds import CONTAINERS, kinds_with, switched
from hmnpack.schema.methods import METHODS
from hmnpack.schema.nested import as_document, leaves, setting_names, whole

Model = TypeVar("Model", bound=BaseModel)


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
    base = of_kind(base, layers)
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


def of_kind(base: Model, layers: Iterable[Mapping[str, object]]) -> Model:
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
