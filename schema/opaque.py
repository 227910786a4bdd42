"""Settings that a file only tells of: any JSON object within bounds, which no reader validates."""

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, JsonValue
from pydantic_core import PydanticCustomError

MAX_OPAQUE_BYTES = 16 * 1024
"""Most bytes of such an object, as canonical JSON in UTF-8."""

MAX_OPAQUE_DEPTH = 8
"""Most objects and arrays within each other, of which the object itself is the first."""


def canonical_json(document: object) -> str:
    """Return JSON with sorted keys, no spaces, and only those escapes that JSON demands."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def depth_of(document: object, most: int) -> int:
    """Return how many arrays and objects lie within each other, the document among them.

    Args:
        document: Of dictionaries, lists and plain values.
        most: Where counting ends: what is deeper has this depth and one.
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
    """Return why an object may not be stored as it is, or None where it may."""
    if depth_of(document, MAX_OPAQUE_DEPTH) > MAX_OPAQUE_DEPTH:
        return f"is nested more than {MAX_OPAQUE_DEPTH} deep"
    try:
        size = len(canonical_json(document).encode())
    except (TypeError, ValueError):
        return "is not JSON"
    if size > MAX_OPAQUE_BYTES:
        return f"takes {size} bytes, of {MAX_OPAQUE_BYTES} at most"
    return None


def _nested(values: Iterable[object]) -> list[dict[str, object] | list[object]]:
    return [value for value in values if isinstance(value, dict | list)]


def _bounded(document: object) -> object:
    fault = opaque_fault(document)
    if fault:
        raise PydanticCustomError("opaque", "the object {fault}", {"fault": fault})
    return document


Opaque = Annotated[dict[str, JsonValue], BeforeValidator(_bounded)]
"""A bounded object of settings."""
