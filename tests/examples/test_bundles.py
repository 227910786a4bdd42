"""examples/bundles holds intact files and their report pages, and nothing else."""

import json
import re
from pathlib import Path

import pytest

import hmnpack
from hmnpack.container.budget import plan
from hmnpack.schema.nested import leaves
from hmnpack.settings import CompressSettings

BUNDLES = Path(__file__).resolve().parents[2] / "examples" / "bundles"

pytestmark = pytest.mark.skipif(not BUNDLES.is_dir(), reason="no source tree")


def test_folder_holds_bundles_and_pages_only():
    names = {path.stem for path in BUNDLES.glob("*.hmn")}
    assert names
    files = {f"{name}.{ending}" for name in names for ending in ("hmn", "html")}
    assert {path.name for path in BUNDLES.iterdir()} == files | {"README.md"}


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*.hmn")), ids=lambda path: path.stem)
def test_bundle_is_intact_and_named_by_its_data_and_budget(path):
    manifest = hmnpack.verify(path).manifest
    name, _, budget = path.stem.partition("-ipc")
    assert name == manifest.source.name
    assert budget in ("", str(manifest.budget.ipc))


def settings_of_the_page():
    """Yield each file's name and the settings listed for it in README.md."""
    page = BUNDLES / "README.md"
    text = page.read_text(encoding="utf-8").partition("| file | settings |\n")[2]
    text = text.partition("\n\n")[0]
    for name, cell in re.findall(r"^\| `([\w-]+)` \| (.*) \|$", text, re.MULTILINE):
        listed = re.match("`(.*?)`", cell)
        yield name, listed[1].split() if listed else []


def test_readme_lists_the_settings_of_each_bundle():
    found = dict(settings_of_the_page())
    assert set(found) == {path.stem for path in BUNDLES.glob("*.hmn")}
    for name, listed in found.items():
        manifest = hmnpack.inspect(BUNDLES / f"{name}.hmn")
        shape = manifest.budget.ipc, len(manifest.classes), manifest.container.image
        config = CompressSettings("fast", None, listed, {}).config()
        assert plan(*shape, config.container) == manifest.container, name
        recorded = dict(leaves(manifest.config or {}))
        pairs = [word.split("=") for word in listed]
        assert {path: recorded.get(path) for path, _ in pairs} == {
            path: json.loads(value) for path, value in pairs
        }
        usual = {"pool.size", "match.steps", "match.views"}
        assert usual & recorded.keys() == usual & {path for path, _ in pairs}, name
