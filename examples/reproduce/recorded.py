"""Result files, and the remarks on them in notes.toml."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hmnpack.schema.result import Result

HERE = Path(__file__).resolve().parent
RESULTS = "results"
"""Folder of the result files, relative to the pages beside it."""

REMOVED = "&dagger;"
"""Mark of a setting that no longer exists."""


def load(folder: Path) -> dict[str, Result]:
    """Return all results in a folder by file stem, sorted."""
    return {
        path.stem: Result.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)
    }


def linked(name: str) -> str:
    """Return a result's name as a link to its file."""
    return f"[{name}]({RESULTS}/{name}.json)"


@cache
def notes() -> dict[str, str]:
    """Return remarks that are not in the result files, by the result's name."""
    return dict(_notes()["notes"])


def is_removed(setting: str) -> bool:
    """Return whether notes.toml lists a setting, such as ``a.b=1``, as removed."""
    return setting.startswith(tuple(_notes()["removed"]))


@cache
def _notes() -> dict[str, Any]:
    return tomllib.loads((HERE / "notes.toml").read_text(encoding="utf-8"))
