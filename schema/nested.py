"""Settings of a model as nested values, and by dotted path, such as ``match.steps``."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue

from hmnpack.schema.base import absent_groups


def setting_names(model: BaseModel, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every setting of a model, such as ``"match.steps"``."""
    absent = absent_groups(model)
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from setting_names(value, f"{prefix}{name}.")
        elif name not in absent:
            yield prefix + name


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted path and the value of every setting in nested ones."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def whole(model: BaseModel) -> dict[str, JsonValue]:
    """Return every setting of a model, nested."""
    document: dict[str, JsonValue] = json.loads(json.dumps(as_document(model)))
    return document


def as_document(model: BaseModel) -> dict[str, Any]:
    """Return every setting of a model, nested, without converting values to JSON."""
    absent = absent_groups(model)
    return {
        name: as_document(value) if isinstance(value, BaseModel) else value
        for name, value in model
        if name not in absent
    }
