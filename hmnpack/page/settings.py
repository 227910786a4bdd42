"""Tables of opaque settings from a file; nothing here depends on their meaning."""

import json

from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import plural
from hmnpack.page.parts import folded, paragraph, table
from hmnpack.schema.nested import leaves
from hmnpack.schema.opaque import Opaque


def settings(title: str, config: Opaque | None, otherwise: str) -> Html:
    """Return a collapsible table with the path and value of every setting.

    Args:
        title: Title of the table.
        config: Nested settings, or None.
        otherwise: Text to show if there are no settings.
    """
    rows = [
        (tag("code", path), tag("code", written(value))) for path, value in leaves(config or {})
    ]
    if not rows:
        return paragraph(otherwise, kind="small")
    inner = table(title, ("setting", "value"), rows, "quiet words settings")
    return folded(join((title, " ", tag("small", plural(len(rows), "setting")))), inner)


def written(value: object) -> str:
    """Return a value as it is typed in settings."""
    if isinstance(value, list):
        return ", ".join(written(each) for each in value) or "()"
    return value if isinstance(value, str) else json.dumps(value)
