"""Settings as a user gives them: assignments, and a TOML file."""

import json
import tomllib
from collections.abc import Iterable

from hmnpack.errors import BadSettings
from hmnpack.runtime.paths import AnyPath, path_of


def assigned_values(assignments: Iterable[str]) -> dict[str, object]:
    """Return the values of texts such as ``"match.steps=100"``, by dotted path.

    Raises:
        BadSettings: if a text is not of that form.
    """
    values: dict[str, object] = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise BadSettings(f"--set {text!r} is not KEY=VALUE, such as match.steps=100")
        values[name.strip()] = _value(value.strip())
    return values


def _value(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return text  # so that container.norm=none needs no quotes
    return parsed


def stored_values(path: AnyPath | None) -> dict[str, object]:
    """Return the content of a TOML file; empty if no file is given.

    Raises:
        BadSettings: if it cannot be read.
    """
    if path is None:
        return {}
    path = path_of(path)
    try:
        # utf-8-sig, because editors on Windows begin a file with a byte order mark.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BadSettings(f"{path}: not TOML ({error})") from error
