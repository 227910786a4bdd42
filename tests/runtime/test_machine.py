"""Facts about the machine and the code."""

import re
import subprocess
import sys

import pytest
import torch

from hmnpack.runtime import machine


def test_machine_facts_are_plausible():
    facts = machine.machine_facts()
    assert facts.processor
    assert facts.cores >= 1
    assert 0.1 < facts.memory_gib < 1e6
    assert facts.device == "cpu"
    assert {"python", "hmnpack", "torch"} <= set(facts.versions)


def test_commit_of_a_clean_and_a_dirty_tree(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *identity, "-C", tmp_path, *arguments], check=True)

    package = tmp_path / "hmnpack" / "runtime"
    package.mkdir(parents=True)
    source = package / "machine.py"
    source.write_text("one")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    monkeypatch.setattr(machine, "__file__", str(source))
    clean = machine.commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    source.write_text("two")
    assert machine.commit() == f"{clean}-dirty"


@pytest.mark.parametrize("is_broken", [False, True])
def test_commit_outside_of_a_repository_is_the_version(tmp_path, monkeypatch, is_broken):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "hmnpack" / "runtime" / "machine.py"))
    if is_broken:
        (tmp_path / ".git").write_text("gitdir: nowhere")
    assert machine.commit() == f"v{machine.__version__}"


def test_processor_model_without_proc(monkeypatch):
    monkeypatch.setattr(machine.Path, "is_file", lambda path: False)
    assert machine.processor_model()


def test_without_folders_strips_absolute_paths():
    words = ["--save", "/home/me/x.json", "--data=/home/me/cifar", "--set", "a.b=1", "runs/y"]
    shown = ["--save", "x.json", "--data=cifar", "--set", "a.b=1", "runs/y"]
    words, shown = [*words, "/home/me/lr=0.1/x.hmn"], [*shown, "x.hmn"]
    assert machine.without_folders(words) == shown


def test_peak_memory_without_proc(monkeypatch):
    monkeypatch.setattr(machine.Path, "read_text", lambda path: "Name: python\n")
    assert machine.peak_memory(torch.device("cpu")) > 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_peak_memory_excludes_the_parent_process():
    child = (
        "from hmnpack.runtime.machine import peak_memory as peak; print(peak(torch.device('cpu')))"
    )
    parent = (
        "import subprocess, sys; much = bytes(1) * 1_500_000_000; "
        f"print(subprocess.check_output([sys.executable, '-c', {'import torch; ' + child!r}]))"
    )
    output = subprocess.check_output([sys.executable, "-c", parent], text=True)
    assert 1e8 < int(re.search("[0-9]+", output)[0]) < 1.4e9
