"""Runs the examples in docstrings, in the repository root."""

import doctest
import importlib
import pkgutil

import pytest

import hmnpack

ALL = ["hmnpack", *(found.name for found in pkgutil.walk_packages(hmnpack.__path__, "hmnpack."))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples_of(name: str) -> list[doctest.DocTest]:
    """Return the docstrings of a module that contain an example."""
    found = doctest.DocTestFinder().find(importlib.import_module(name), name)
    return [docstring for docstring in found if docstring.examples]


EXAMPLES = [
    pytest.param(docstring, id=docstring.name)
    for name in ALL
    if not name.endswith("__main__")
    for docstring in examples_of(name)
]


def test_docstrings_have_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("docstring", EXAMPLES)
def test_example_prints_what_it_shows(root, monkeypatch, docstring):
    monkeypatch.chdir(root)
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    failed = runner.run(docstring, out=output.append).failed
    assert not failed, "".join(output)
