"""Every setting of a model, with what it means."""

from collections.abc import Iterator

from pydantic import BaseModel

from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import plural
from hmnpack.page.parts import folded, table


def settings(title: str, model: BaseModel) -> Html:
    """Return all settings of a model, folded: path, meaning and value."""
    rows = [
        (join((tag("code", path), " ", tag("small", _with_code(meaning)))), tag("code", value))
        for path, value, meaning in leaves(model)
    ]
    inner = table(title, ("setting", "value"), rows, "quiet words settings")
    return folded(join((title, " ", tag("small", plural(len(rows), "setting")))), inner)


def _with_code(meaning: str) -> Html:
    """Return a description, whose settings stand between backquotes."""
    words = enumerate(meaning.split("`"))
    return join(tag("code", word) if index % 2 else word for index, word in words)


def leaves(model: BaseModel, before: str = "") -> Iterator[tuple[str, str, str]]:
    """Give the path, the value and the description of every setting, those of parts within."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", written(value), field.description or ""


def written(value: object) -> str:
    """Return a value as a person writes it in the settings."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return ", ".join(written(each) for each in value) or "()"
    return str(value)
