"""Settings as a documented TOML file."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from hmnpack.schema.base import absent_groups

_WIDTH = 96
"""Maximum columns of a comment line."""

_BOUNDS = (
    ("exclusiveMinimum", "above {}"),
    ("minimum", "at least {}"),
    ("exclusiveMaximum", "below {}"),
    ("maximum", "at most {}"),
)
"""JSON Schema keys of bounds, and their wording."""


def toml_of(settings: BaseModel, group: str = "") -> str:
    """Return settings as TOML: each value below its description and bounds.

    Reading the text back gives the same settings. Settings without a value are comments; groups
    that the recipe does not have are left out.

    Args:
        settings: A model whose fields have descriptions.
        group: Dotted name of the model's table with a trailing dot; empty for the top level.
    """
    facts = type(settings).model_json_schema(mode="validation")
    groups = {name: value for name, value in settings if isinstance(value, BaseModel)}
    blocks = [
        "\n".join(_lines(name, value, facts["properties"][name]))
        for name, value in settings
        if name not in groups and name not in absent_groups(settings)
    ]
    for name, value in groups.items():
        about = _comment(facts["properties"][name].get("description", ""))
        blocks.append("\n".join([*about, f"[{group}{name}]"]))
        blocks.append(toml_of(value, f"{group}{name}.").rstrip("\n"))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _lines(name: str, value: object, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one setting."""
    bounds = _bounds(facts)
    yield from _comment(facts.get("description", "") + (f" ({bounds})" if bounds else ""))
    if value is None:
        yield f"# {name} is not set"
    else:
        yield f"{name} = {json.dumps(value)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text.strip(), _WIDTH - 2)]


def _bounds(facts: Mapping[str, Any]) -> str:
    """Return the bounds of a value, or its choices."""
    for kind in (facts, *facts.get("anyOf", ())):
        choices = kind.get("enum") or kind.get("items", {}).get("enum")
        if choices:
            return ", ".join(map(str, choices))
        bounds = [form.format(kind[key]) for key, form in _BOUNDS if key in kind]
        if bounds:
            return ", ".join(bounds)
    return ""
