"""The fuzzer: its cases repeat, the present code passes them, and broken code does not."""

import importlib
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from hmnpack.schema.result import Result


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("fuzz_parts.cases")


@pytest.fixture
def watch(cases):
    return importlib.import_module("fuzz_parts.watch")


@pytest.fixture
def faults(cases, tmp_path):
    """Function that runs cases of one kind and returns their faults as one text."""

    def run(kind, count):
        numbers = range(list(cases.KINDS).index(kind), count * len(cases.KINDS), len(cases.KINDS))
        return "\n".join(fault for number in numbers for fault in cases.run(0, number, tmp_path))

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"), [("folder", 6), ("table", 6), ("array", 20), ("line", 6)]
)
def test_present_code_has_no_faults(faults, kind, count, tmp_path):
    assert faults(kind, count) == ""
    assert list(tmp_path.iterdir()) == []


def test_changed_files_have_no_faults(faults):
    assert faults("bundle", 5) == ""


def test_case_is_always_the_same(cases, tmp_path):
    pieces = (
        importlib.import_module("fuzz_parts.folders"),
        importlib.import_module("fuzz_parts.tables"),
    )
    for module in pieces:
        found = []
        for name in ("one", "two"):
            folder = tmp_path / f"{module.__name__}-{name}"
            folder.mkdir()
            truth = module.make(Random("0/1"), folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            contents = [(str(path.relative_to(folder)), path.read_bytes()) for path in files]
            found.append((contents, truth.classes, truth.train, truth.problems))
        assert found[0] == found[1]


def swapped_labels(source):
    labels = source.train.labels.flip(0)
    return replace(source, train=replace(source.train, labels=labels))


def lost_image(source):
    kept = torch.arange(len(source.train)) > 0
    return replace(source, train=source.train.subset(kept))


def other_names(source):
    return replace(source, classes=source.classes[::-1])


def silent_about_others(source):
    return replace(source, skipped=Counter({"txt": 99}))


def without_test(source):
    return replace(source, test=None)


@pytest.mark.parametrize(
    "broken", [swapped_labels, lost_image, other_names, silent_about_others, without_test]
)
def test_broken_reader_is_found(cases, faults, monkeypatch, broken):
    right = cases.open_source
    monkeypatch.setattr(cases, "open_source", lambda *args: broken(right(*args)))
    monkeypatch.setattr(cases, "_TO_THE_LINE", 0)
    assert faults("folder", 5)


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        (lambda path: Path("left.txt").write_text(""), "left behind"),
        (lambda path: next(Path(path).rglob("*.*")).unlink(), "the input was changed"),
        (lambda path: print("hello"), "printed by a call"),
        (lambda path: warnings.warn("odd", stacklevel=1), "warning: UserWarning: odd"),
        (lambda path: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_side_effect_is_found(cases, faults, monkeypatch, planted, expected):
    right = cases.open_source

    def broken(spec, options):
        planted(spec)
        return right(spec, options)

    monkeypatch.setattr(cases, "open_source", broken)
    monkeypatch.setattr(cases, "_TO_THE_LINE", 0)
    assert expected in faults("folder", 3)


def test_hang_is_found(watch):
    def forever():
        while True:
            pass

    assert "Hang" in watch.called(forever, seconds=0.05).faults[0]


def test_undocumented_exit_code_is_found(watch, monkeypatch):
    monkeypatch.setattr("hmnpack.cli.cmd_inspect.inspect_and_size", lambda *args, **words: 1 / 0)
    faults = watch.commanded(["inspect", "a.hmn"]).faults
    assert "exit code 1" in faults[0]


def test_kept_folder_says_what_was_found(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "open_source", lambda *args: 1 / 0)
    monkeypatch.setattr(cases, "_TO_THE_LINE", 0)
    assert cases.run(0, 0, tmp_path)
    assert "ZeroDivisionError" in (tmp_path / "folder-0-0" / "faults.txt").read_text()


@pytest.mark.slow
def test_one_case_from_the_command_line(tmp_path):
    saved = tmp_path / "result.json"
    script = Path(__file__).parent / "fuzz.py"
    line = [sys.executable, script, "--case", "3", f"--save={saved}", f"--keep={tmp_path}"]
    subprocess.run(line, check=True, capture_output=True)
    figures = Result.model_validate_json(saved.read_text()).figures
    assert (figures["cases"], figures["cases_bundle"], figures["faulty_cases"]) == (1, 1, 0)


@pytest.mark.slow
def test_end_of_the_process_is_a_fault_of_its_case(tmp_path):
    script = tmp_path / "fuzz.py"
    text = (Path(__file__).parent / "fuzz.py").read_text()
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        + text.replace("faults = run(", "os.abort() or run(")
    )
    line = [sys.executable, script, "--case", "3", f"--keep={tmp_path}"]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the process ended with -6" in done.stdout
    assert "make bench NAME=fuzz SEED=0 CASE=3" in done.stdout
