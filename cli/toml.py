"""Settings as a TOML file that explains itself."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

_WIDTH = 96
"""Columns of a comment."""

_BOUNDS = (
    ("exclusiveMinimum", "above {}"),
    ("minimum", "at least {}"),
    ("exclusiveMaximum", "below {}"),
    ("maximum", "at most {}"),
)
"""Keys of a JSON Schema, and how they are said."""


def toml_of(settings: BaseModel, group: str = "") -> str:
    """Return settings as TOML: each with its value, and above it what it means and may be.

    What reads it gives the same settings. One that is not set is a comment.

    Args:
        settings: A model whose fields have descriptions.
        group: Dotted name of the table that it is, with a dot at its end; empty: of all.
    """
    facts = type(settings).model_json_schema(mode="validation")
    groups = {name: value for name, value in settings if isinstance(value, BaseModel)}
    blocks = [
        "\n".join(_lines(name, value, facts["properties"][name]))
        for name, value in settings
        if name not in groups
    ]
    for name, value in groups.items():
        about = _comment(facts["properties"][name].get("description", ""))
        blocks.append("\n".join([*about, f"[{group}{name}]"]))
        blocks.append(toml_of(value, f"{group}{name}.").rstrip("\n"))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _lines(name: str, value: object, facts: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of one setting."""
    bounds = _bounds(facts)
    yield from _comment(facts.get("description", "") + (f" ({bounds})" if bounds else ""))
    if value is None:
        yield f"# {name} is not set"
    else:
        yield f"{name} = {json.dumps(value)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text.strip(), _WIDTH - 2)]


def _bounds(facts: Mapping[str, Any]) -> str:
    """Return what a value may be: its bounds, or the words to choose from."""
    for kind in (facts, *facts.get("anyOf", ())):
        words = kind.get("enum") or kind.get("items", {}).get("enum")
        if words:
            return ", ".join(map(str, words))
        said = [form.format(kind[key]) for key, form in _BOUNDS if key in kind]
        if said:
            return ", ".join(said)
    return ""
