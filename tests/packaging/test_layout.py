"""Package list, import directions, model descriptions and JSON Schemas."""

import ast
import importlib
import tomllib

import pytest
from pydantic import BaseModel

ORDER = (
    *("version", "errors", "registry", "runtime", "settings", "sources", "networks", "augment"),
    *("training", "container", "matching", "bundle", "pruning", "condensing", "dataset"),
    *("writers", "evaluation", "continual", "integrations", "page"),
)
"""Rooms and top-level modules in order; a module imports only from those that precede it."""


MODELS = (
    "manifest",
    "ledger",
    "match",
    "config",
    "container",
    "continual",
    "result",
    "audit",
    "presets",
    "recipes",
    "training",
)


def room(module):
    return module.split(".")[1] if "." in module else ""


def imported(module, tree):
    """Yield the hmnpack modules that a module imports at run time."""
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: use absolute imports"
            if node.module == "hmnpack":
                yield from (f"hmnpack.{alias.name}" for alias in node.names)
            elif node.module.startswith("hmnpack."):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("hmnpack."))


def test_package_list_matches_the_folders(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"hmnpack", "hmnpack.cli", "hmnpack.schema"}
    for path in (root / "hmnpack").rglob("__init__.py"):
        found.add(".".join(path.parent.relative_to(root).parts))
    assert sorted(project["packages"]) == sorted(found)
    nested = [p for top in ("cli", "schema") for p in (root / top).rglob("__init__.py")]
    assert {path.parent for path in nested} == {root / "cli", root / "schema"}


def test_order_lists_every_room(modules):
    inside = {room(name) for name in modules} - {"", "cli", "schema", "__main__"}
    assert inside <= set(ORDER)


def test_top_level_has_few_entries(root):
    """Sixteen rooms and seven files; put new modules into a room."""
    found = {path.name for path in (root / "hmnpack").iterdir()} - {"__pycache__"}
    assert len(found) <= 23, sorted(found)


def test_schema_imports_only_schema(modules):
    for name, tree in modules.items():
        if room(name) == "schema":
            for other in imported(name, tree):
                assert room(other) == "schema", f"{name} imports {other}"


def test_rooms_import_only_preceding_rooms(modules):
    wrong = []
    for name, tree in modules.items():
        here = room(name)
        if here in ("", "schema", "cli", "__main__"):
            continue
        before = {"schema", here, *ORDER[: ORDER.index(here)]}
        wrong += [f"{name}: {other}" for other in imported(name, tree) if room(other) not in before]
    assert wrong == []


def test_schema_and_start_up_modules_import_no_torch(modules):
    for name, tree in modules.items():
        if room(name) == "schema" or name in ("hmnpack", "hmnpack.errors", "hmnpack.registry"):
            tops = {
                alias.name.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import)
                for alias in node.names
            } | {
                node.module.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module
            }
            assert tops.isdisjoint({"torch", "numpy", "torchvision", "PIL"}), name


def test_every_module_can_be_imported(modules):
    for name in modules:
        if not name.endswith("__main__"):
            importlib.import_module(name)


@pytest.mark.parametrize("name", MODELS)
def test_every_field_has_a_description(name):
    module = importlib.import_module(f"hmnpack.schema.{name}")
    models = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseModel)
    ]
    undescribed = [
        f"{model.__name__}.{field}"
        for model in models
        for field, facts in model.model_fields.items()
        if not facts.description
    ]
    assert undescribed == []


@pytest.mark.parametrize("name", ["manifest", "result", "audit"])
def test_json_schemas_are_up_to_date(root, name):
    """`make schema` regenerates them."""
    from hmnpack.schema.export import text_of

    assert (root / "schema" / f"{name}-1.json").read_text() == text_of(name)


def test_public_names_can_be_imported():
    import hmnpack

    for name in hmnpack.__all__:
        assert getattr(hmnpack, name) is not None
    with pytest.raises(AttributeError, match="'unpack'"):
        hmnpack.unpack  # noqa: B018
