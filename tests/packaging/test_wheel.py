"""The wheel, installed in a separate environment without access to the source tree.

A `.pth` file adds the libraries of the environment that runs the tests, because installing torch
again would take 5 GB. An editable hmnpack there is not found: Python does not process `.pth` files
in a folder that was added by a `.pth` file.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CARRIED = ("conftest.py", "bundle", "cli", "golden", "sources", "writers")
"""Parts of tests/ that run against the wheel."""


def call(*command, cwd):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """The wheel, built from a copy of the tree so that the tree gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for name in ("hmnpack", "cli", "schema"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, tree / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tree / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    call(*pip, "--no-build-isolation", "--no-deps", "-w", folder, tree, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory) -> Path:
    """A new environment with the wheel installed."""
    folder = tmp_path_factory.mktemp("fresh")
    call(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    call(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(call(python, "-c", purelib, cwd=folder).strip())
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_wheel_contains_the_package_and_its_data_only(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"hmnpack"}
    for name in (
        *("py.typed", "schema/py.typed", "schema/manifest-1.json", "schema/result-1.json"),
        *("schema/audit-1.json", "page/style.css", "page/strip.css", "page/overview.css"),
    ):
        assert f"hmnpack/{name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    on_disk = {
        f"hmnpack/{'' if folder == 'hmnpack' else folder + '/'}{path.relative_to(root / folder)}"
        for folder in ("hmnpack", "cli", "schema")
        for path in (root / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == on_disk


def test_wheel_is_imported_from_its_environment_and_leaks_no_names(fresh):
    code = (
        "import importlib.util, hmnpack, hmnpack.cli, hmnpack.schema, sys\n"
        "assert hmnpack.__file__.startswith(sys.prefix), hmnpack.__file__\n"
        "assert importlib.util.find_spec('cli') is None\n"
        "assert importlib.util.find_spec('schema') is None\n"
        "print(hmnpack.__version__)\n"
    )
    version = call(fresh / "env/bin/python", "-I", "-c", code, cwd=fresh).strip()
    printed = call(fresh / "env/bin/hmnpack", "--version", cwd=fresh).strip()
    assert printed == f"hmnpack {version}"


def test_tests_pass_against_the_wheel_without_a_source_tree(fresh, root):
    tests = fresh / "tests"
    tests.mkdir()
    for name in CARRIED:
        found = root / "tests" / name
        if found.is_dir():
            shutil.copytree(found, tests / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif found.is_file():
            shutil.copy(found, tests / name)
    (fresh / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib -p no:randomly\nfilterwarnings = error\n"
        "markers = slow\n"
    )
    pytest_of = (fresh / "env/bin/python", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert " passed" in call(*pytest_of, "tests", cwd=fresh)
