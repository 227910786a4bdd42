"""The examples in docstrings, run as they stand, in the repository's folder."""

import doctest
import importlib
import pkgutil

import pytest

import hmnpack

ALL = ["hmnpack", *(found.name for found in pkgutil.walk_packages(hmnpack.__path__, "hmnpack."))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples_of(name: str) -> list[doctest.DocTest]:
    """Return the docstrings of a module that have an example."""
    found = doctest.DocTestFinder().find(importlib.import_module(name), name)
    return [docstring for docstring in found if docstring.examples]


EXAMPLES = [
    pytest.param(docstring, id=docstring.name)
    for name in ALL
    if not name.endswith("__main__")
    for docstring in examples_of(name)
]


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("docstring", EXAMPLES)
def test_an_example_is_true(root, monkeypatch, docstring):
    monkeypatch.chdir(root)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    failed = runner.run(docstring, out=said.append).failed
    assert not failed, "".join(said)
