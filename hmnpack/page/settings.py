"""Settings that a file tells of, as they stand in it: nothing here depends on what they mean."""

import json

from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import plural
from hmnpack.page.parts import folded, paragraph, table
from hmnpack.schema.opaque import Opaque
from hmnpack.settings import leaves


def settings(title: str, config: Opaque | None, otherwise: str) -> Html:
    """Return all settings of an object, folded: path and value.

    Args:
        title: What the settings are.
        config: Nested, or None.
        otherwise: What is said where there are none.
    """
    rows = [
        (tag("code", path), tag("code", written(value))) for path, value in leaves(config or {})
    ]
    if not rows:
        return paragraph(otherwise, kind="small")
    inner = table(title, ("setting", "value"), rows, "quiet words settings")
    return folded(join((title, " ", tag("small", plural(len(rows), "setting")))), inner)


def written(value: object) -> str:
    """Return a value as a person writes it in the settings."""
    if isinstance(value, list):
        return ", ".join(written(each) for each in value) or "()"
    return value if isinstance(value, str) else json.dumps(value)
