"""The registry: every name has an implementation, and nothing else is imported."""

import subprocess
import sys

import pytest

from hmnpack import registry
from hmnpack.errors import BadSettings
from hmnpack.registry import Registry

TABLES = {name: each for name, each in vars(registry).items() if isinstance(each, Registry)}
NAMES = [(table, name) for table in TABLES for name in TABLES[table]]


@pytest.fixture
def letters():
    return Registry("letter", {"alpha": "string:ascii_letters", "beta": "no.such.module:beta"})


@pytest.mark.parametrize(("table", "name"), NAMES)
def test_registry_name_leads_to_an_implementation(table, name):
    assert TABLES[table][name] is not None


def test_registry_iterates_in_the_order_of_its_table(letters):
    assert list(letters) == ["alpha", "beta"]
    assert "alpha" in letters
    assert "gamma" not in letters


def test_registry_imports_an_entry_when_it_is_looked_up(letters):
    assert letters["alpha"].startswith("abc")
    with pytest.raises(ModuleNotFoundError, match="no"):
        letters["beta"]


@pytest.mark.parametrize("name", ["alhpa", "string:ascii_letters", "os:system", ""])
def test_registry_rejects_an_unknown_name(letters, name):
    with pytest.raises(BadSettings, match=r"unknown letter .*; did you mean alpha"):
        letters[name]


def test_registry_listing_imports_no_implementation():
    code = (
        "import sys; from hmnpack import registry\n"
        "names = [[*each] for each in vars(registry).values() if hasattr(each, 'kind')]\n"
        "assert len(names) > 5, names\n"
        "print([name for name in sys.modules if name.startswith('hmnpack.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {"hmnpack.schema", "hmnpack.schema.names"}
    loaded |= {"hmnpack.version", "hmnpack.registry", "hmnpack.errors"}
    assert set(eval(done.stdout)) == loaded
