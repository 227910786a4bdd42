"""Limits on files, functions and arguments, and calls that are not allowed."""

import ast
import re
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60
ARGUMENTS = 6
FOLDERS = ("hmnpack", "cli", "schema", "examples")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="no source tree")


def sources():
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function):
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


def positional(function):
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (bool(names) and names[0] in ("self", "cls"))


def test_files_are_short():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert [str(path) for path, count in lines.items() if count > FILE_LINES] == []
    assert median(lines.values()) <= 150


def test_functions_are_short():
    long = [
        f"{path}:{function.lineno} {function.name}: {length(function)}"
        for path in sources()
        for function in functions(path)
        if length(function) > FUNCTION_LINES
    ]
    assert long == []
    assert median(length(f) for path in sources() for f in functions(path)) <= 12


def test_functions_take_few_arguments():
    many = [
        f"{path}:{function.lineno} {function.name}: {positional(function)}"
        for path in sources()
        for function in functions(path)
        if positional(function) > ARGUMENTS
    ]
    assert many == []


def test_library_does_not_print():
    printing = [
        f"{path}:{node.lineno}"
        for folder in ("hmnpack", "schema")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_global_seeds_are_set_in_one_place():
    pattern = re.compile(r"\b(torch|random|np\.random|numpy\.random)\.(manual_seed|seed)\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found <= {"hmnpack/runtime/seeds.py"}


def test_code_has_no_unfinished_work_marks():
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [str(path) for path in sources() if marks.search(path.read_text(encoding="utf-8"))]
    assert found == []
