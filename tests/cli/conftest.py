"""A bundle with hostile names, and a fixture that runs commands in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hmnpack.bundle import Bundle
from hmnpack.cli.group import main
from hmnpack.schema.manifest import SourceFacts

NAMES = ("[bold]cat", "dog", "naïve")
"""Class names, one of which is rich markup."""


@pytest.fixture
def bundle(bundle_of, hmn) -> Bundle:
    source = SourceFacts(
        name="pets\x1b[2J",
        fingerprint="0" * 64,
        train_images=300,
        held_out=30,
        skipped={"unreadable": 1},
    )
    return bundle_of(hmn(classes=3), classes=NAMES, source=source)


@pytest.fixture
def bundle_file(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "pets.hmn"
    bundle.save(path)
    return path


@pytest.fixture
def run() -> Callable[..., Result]:
    """Return a function that runs a command line in this process."""

    def invoke(*arguments: object, **environment: str) -> Result:
        words = [str(part) for part in arguments]
        return CliRunner().invoke(main, words, env=environment, prog_name="hmnpack")

    return invoke
