"""Public names: declared consistently, documented, and listed in the reference."""

import ast
import inspect
import pydoc
import re

import pytest

import hmnpack

NAMES = sorted(set(hmnpack.__all__) - {"__version__"})


@pytest.fixture(scope="module")
def for_type_checkers(root) -> dict[str, str]:
    """Names declared for type checkers, and their modules."""
    tree = ast.parse((root / "hmnpack" / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.asname: node.module.removeprefix("hmnpack.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
        if alias.asname == alias.name
    }


def test_names_for_type_checkers_match(for_type_checkers):
    assert for_type_checkers == hmnpack._HOMES


def test_all_and_dir_list_every_name():
    assert set(hmnpack.__all__) == {"__version__", *hmnpack._HOMES}
    assert len(hmnpack.__all__) == len(set(hmnpack.__all__))
    assert set(hmnpack.__all__) <= set(dir(hmnpack))


@pytest.mark.parametrize("name", NAMES)
def test_name_has_its_own_docstring(name):
    thing = getattr(hmnpack, name)
    inherited = inspect.getdoc(thing.__base__) if isinstance(thing, type) else None
    assert inspect.getdoc(thing) not in (None, "", inherited)


@pytest.mark.parametrize("name", NAMES)
def test_function_documents_its_arguments(name):
    thing = getattr(hmnpack, name)
    if isinstance(thing, type):
        return
    text = inspect.getdoc(thing)
    for argument in inspect.signature(thing).parameters:
        assert re.search(rf"^ +(\w+, )*{argument}(, \w+)*:", text, re.M), argument


@pytest.mark.parametrize("name", NAMES)
def test_name_is_in_the_reference(root, name):
    text = (root / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^\.\. auto\w+:: hmnpack\.(errors\.)?{name}$|`hmnpack\.{name}`", text, re.M)


@pytest.mark.parametrize("page", ["README.md", "GUIDE.md"])
def test_page_links_to_the_reference(root, page):
    assert "](docs/api.md)" in (root / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "GUIDE.md", "docs/api.md"])
def test_names_on_page_exist(root, page):
    text = (root / page).read_text(encoding="utf-8")
    shown = set(re.findall(r"(?<![\w./-])hmnpack((?:\.[A-Za-z_]\w*)+)(?![\w/])", text))
    assert shown
    for names in shown:
        assert pydoc.locate(f"hmnpack{names}") is not None, f"hmnpack{names}"
