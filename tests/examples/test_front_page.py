"""The README's table is rendered from the results of the shipped files."""

import importlib
from pathlib import Path

import pytest

from hmnpack.runtime.machine import machine_facts
from hmnpack.schema.result import DataFacts, Result, Row

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no source tree")


@pytest.fixture
def front(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "reproduce"))
    return importlib.import_module("render_front")


def row(name, mean, steps):
    figures = {"steps": steps}
    return Row(
        name=name, images=10, accuracy_mean=mean, accuracy_std=1, networks=3, figures=figures
    )


def result(**changes):
    facts = {
        "name": "digits",
        "recipe": "fast",
        "command": "hmnpack evaluate x",
        "commit": "abc",
        "machine": machine_facts(),
        "data": DataFacts(name="CIFAR-10 (JPEG)", fingerprint="0" * 64),
        "accuracy_mean": 50.04,
        "accuracy_std": 0.5,
        "networks": 3,
        "figures": {"ipc": 1, "images": 850, "steps": 700, "processor_minutes_packing": 25.9},
    }
    return Result(**facts | changes)


def cells(front, found):
    (line,) = front.table(found).splitlines()[2:]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_shipped_file_has_a_row(front):
    rows = (row("random real, same floats", 20, 700), row("JPEG real, same bytes", 30, 701))
    assert cells(front, {"digits": result(baselines=rows)}) == [
        "CIFAR-10 (JPEG)",
        "1",
        "[774 B](examples/bundles/digits.hmn)",
        "850",
        "[**50.0** &plusmn; 0.5](examples/reproduce/results/digits.json) (3)",
        "-",
        "-",
        "20.0 &plusmn; 1.0",
        "30.0 &plusmn; 1.0",
        "26 min",
    ]


def test_paper_protocol_has_a_column(front):
    longer = result(accuracy_mean=51.0, networks=1)
    found = {"digits": result(), "digits-paper": longer, "other-paper": longer}
    assert cells(front, found)[5] == "[51.0](examples/reproduce/results/digits-paper.json) (1)"


def test_baselines_with_fewer_steps_are_omitted(front):
    rows = (row("random real, same floats", 20, 699), row("JPEG real, same bytes", 30, 700))
    assert cells(front, {"digits": result(baselines=rows)})[7:9] == ["-", "30.0 &plusmn; 1.0"]


def test_times_below_two_minutes_are_in_seconds(front):
    quick = result(figures={"processor_minutes_packing": 0.5})
    assert front.packed_in(quick) == "30 s"
    assert front.packed_in(result(figures={})) == "-"


def test_results_of_unshipped_files_have_no_row(front, monkeypatch, tmp_path):
    monkeypatch.setattr(front, "BUNDLES", tmp_path)
    (tmp_path / "one.hmn").touch()
    assert front.shipped({"one": 1, "one-fast": 2, "two": 3}) == ["one"]


def test_every_shipped_file_has_a_result(front):
    results = {path.stem: None for path in (EXAMPLES / "reproduce" / "results").glob("*.json")}
    files = {path.stem for path in (EXAMPLES / "bundles").glob("*.hmn")}
    assert set(front.shipped(results)) == files
