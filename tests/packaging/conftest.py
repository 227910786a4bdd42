"""Fixtures for the source tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the source tree; skips the test where only the tests were copied."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("no source tree")
    return ROOT


@pytest.fixture(scope="session")
def modules(root: Path) -> dict[str, ast.Module]:
    """Parsed modules of the package, by import name."""
    found = {}
    for folder, prefix in (("hmnpack", ""), ("cli", "hmnpack."), ("schema", "hmnpack.")):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = prefix + ".".join(parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found
