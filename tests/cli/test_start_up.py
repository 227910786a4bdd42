"""What commands import at start-up. (The benchmark `startup` measures the time.)"""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "torchvision", "pyarrow", "sklearn", "PIL", "datasets", "safetensors")


def imported_by(*arguments):
    """Run a command in a new interpreter and return the imported top-level modules."""
    code = (
        "import json, sys\n"
        "from hmnpack.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as leaving: assert not leaving.code, leaving.code\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_import_only_click(arguments):
    assert imported_by(*arguments).isdisjoint({*HEAVY, "pydantic", "rich"})


@pytest.mark.parametrize(
    "command",
    ["compress", "expand", "evaluate", "verify", "report", "prune", "push", "audit", "plan"],
)
@pytest.mark.slow
def test_command_help_imports_nothing_heavy(command):
    assert imported_by(command, "--help").isdisjoint({*HEAVY, "pydantic", "rich"})


@pytest.mark.slow
def test_inspect_imports_neither_torch_nor_numpy(bundle_file):
    assert imported_by("inspect", str(bundle_file)).isdisjoint(HEAVY)
    assert imported_by("inspect", str(bundle_file), "--json", "--verify").isdisjoint(
        {*HEAVY, "rich"}
    )


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("hmnpack", "compress", "ci"), "cifar100"),
        (("hmnpack", "compress", "x", "--recipe", "b"), "best"),
        (("hmnpack", "expand", "x", "--format", "s"), "sheet"),
        (("hmnpack", "evaluate", "x", "--protocol", "p"), "paper"),
    ],
)
@pytest.mark.slow
def test_completion_imports_nothing_heavy(words, offered):
    code = (
        "import sys\n"
        "from hmnpack.cli import main\n"
        "try: main(prog_name='hmnpack')\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    request = {"_HMNPACK_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words)}
    environment = {**os.environ, **request, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    *lines, modules = done.stdout.splitlines()
    assert f"plain,{offered}" in lines
    assert not any(f"'{name}'" in modules for name in (*HEAVY, "pydantic", "rich"))


def test_importing_hmnpack_imports_nothing_heavy():
    code = "import sys, hmnpack; hmnpack.inspect; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not any(f"'{name}'" in done.stdout for name in HEAVY)


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "hmnpack", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("hmnpack 0.")
