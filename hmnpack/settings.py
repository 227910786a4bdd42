"""Settings by dotted path, such as ``match.steps``: put over others, and checked as a whole."""

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hmnpack.errors import BadSettings
from hmnpack.schema.base import MAX_INTEGER

Model = TypeVar("Model", bound=BaseModel)


def merged(base: Model, *layers: Mapping[str, object]) -> Model:
    """Return the model with each layer's values over those before, checked again as a whole.

    Args:
        base: The settings to start from.
        layers: Values by dotted path or nested.

    Example:
        >>> from hmnpack.schema.config import PruneConfig
        >>> merged(PruneConfig(), {"margins.epochs": 7}).margins.epochs
        7

    Raises:
        BadSettings: for an unknown setting, or a value that its setting refuses.
    """
    kind = type(base)
    known = list(setting_names(kind))
    document = _document(base)
    for layer in layers:
        for path, value in _leaves(layer):
            if path not in known:
                raise BadSettings(f"unknown setting {path!r}; {_did_you_mean(path, known)}")
            _put(document, path, value)
    for path, value in _leaves(document):
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


def _leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _document(model: BaseModel) -> dict[str, Any]:
    """Return every setting of a model, also those that a file leaves out where they say nothing."""
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
