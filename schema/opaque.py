"""Opaque settings: a JSON object of bounded size that readers show but do not validate."""

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, JsonValue
from pydantic_core import PydanticCustomError

MAX_OPAQUE_BYTES = 16 * 1024
"""Maximum size of an opaque object as canonical JSON, in bytes of UTF-8."""

MAX_OPAQUE_DEPTH = 8
"""Maximum nesting depth of objects and arrays; the object itself is level 1."""


def canonical_json(document: object) -> str:
    """Return JSON with sorted keys, no spaces, and only the escapes that JSON requires."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def depth_of(document: object, most: int) -> int:
    """Return the nesting depth of a document; an object or array without children has depth 1.

    Args:
        document: Nested dictionaries, lists and scalars.
        most: Depth at which counting stops: any deeper document returns ``most + 1``.
    """
    level, depth = _nested([document]), 0
    while level and depth <= most:
        level = [
            inner
            for outer in level
            for inner in _nested(outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return depth


def opaque_fault(document: object) -> str | None:
    """Return the reason why an object cannot be stored, or None if it can."""
    if depth_of(document, MAX_OPAQUE_DEPTH) > MAX_OPAQUE_DEPTH:
        return f"is nested more than {MAX_OPAQUE_DEPTH} levels deep"
    try:
        size = len(canonical_json(document).encode())
    except (TypeError, ValueError):
        return "is not JSON"
    if size > MAX_OPAQUE_BYTES:
        return f"takes {size} bytes, more than the maximum of {MAX_OPAQUE_BYTES}"
    return None


def _nested(values: Iterable[object]) -> list[dict[str, object] | list[object]]:
    return [value for value in values if isinstance(value, dict | list)]


def _bounded(document: object) -> object:
    fault = opaque_fault(document)
    if fault:
        raise PydanticCustomError("opaque", "the object {fault}", {"fault": fault})
    return document


Opaque = Annotated[dict[str, JsonValue], BeforeValidator(_bounded)]
"""Object of settings, bounded in size and depth."""
