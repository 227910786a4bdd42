"""The files of examples/bundles are whole, and there is nothing else."""

from pathlib import Path

import pytest

import hmnpack

BUNDLES = Path(__file__).resolve().parents[1] / "examples" / "bundles"

pytestmark = pytest.mark.skipif(not BUNDLES.is_dir(), reason="no source tree in reach")


def test_there_are_bundles_and_their_pages_and_nothing_else():
    names = {path.stem for path in BUNDLES.glob("*.hmn")}
    assert names
    pages = {f"{name}.html" for name in names}
    assert {path.name for path in BUNDLES.iterdir()} - pages == {f"{name}.hmn" for name in names}


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*.hmn")), ids=lambda path: path.stem)
def test_each_is_whole_and_named_by_its_data_and_budget(path):
    manifest = hmnpack.verify(path).manifest
    name, _, budget = path.stem.partition("-ipc")
    assert name == manifest.source.name
    assert budget in ("", str(manifest.budget.ipc))
