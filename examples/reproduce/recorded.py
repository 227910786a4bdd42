"""The result files, and what notes.toml says about them."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hmnpack.schema.result import Result

HERE = Path(__file__).resolve().parent
RESULTS = "results"
"""The folder of the result files, as seen from the pages beside it."""

REMOVED = "&dagger;"
"""What marks a setting that no longer exists."""


def load(folder: Path) -> dict[str, Result]:
    """Return all results in a folder, by the name of their file without its ending, sorted."""
    return {
        path.stem: Result.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)
    }


def linked(name: str) -> str:
    """Return the name of a result as a link to its file."""
    return f"[{name}]({RESULTS}/{name}.json)"


@cache
def notes() -> dict[str, str]:
    """Return what is worth knowing about a result and not in its file, by the result's name."""
    return dict(_notes()["notes"])


def is_removed(setting: str) -> bool:
    """Return whether notes.toml says that a setting, such as ``a.b=1``, no longer exists."""
    return setting.startswith(tuple(_notes()["removed"]))


@cache
def _notes() -> dict[str, Any]:
    return tomllib.loads((HERE / "notes.toml").read_text(encoding="utf-8"))
