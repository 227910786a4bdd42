"""The command for figure 4, at scale `smoke` on a part of the digits."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

REPRODUCE = Path(__file__).resolve().parents[2] / "examples" / "reproduce"

pytestmark = pytest.mark.skipif(not REPRODUCE.is_dir(), reason="no source tree")


def test_command_writes_a_result_and_a_page_and_resumes(monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(REPRODUCE))
    spec = importlib.util.spec_from_file_location("example_figure4", REPRODUCE / "figure4.py")
    figure4 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figure4)
    monkeypatch.setattr(figure4, "RESULTS", tmp_path / "results")
    words = ["--data", "digits", "--scale", "smoke", "--ipc", "3", "--seeds", "0", "1"]
    words += ["--rows", "hmn", "floats", "--work", str(tmp_path / "work"), "--stages", "2"]
    monkeypatch.setattr(sys, "argv", ["figure4.py", *words])
    assert figure4.main() == 0
    path = tmp_path / "results" / "paper-figure4.json"
    result = json.loads(path.read_text())
    rows = [(row["name"], row["figures"]["classes"]) for row in result["baselines"]]
    assert rows == [(name, classes) for name in ("hmn", "floats") for classes in (5, 10)]
    assert all(row["networks"] == 2 for row in result["baselines"])
    page = path.with_suffix(".html").read_text()
    assert page.count("<figure>") == 2
    assert "random real, same floats" in page

    monkeypatch.setattr(figure4, "results_of", lambda *_: pytest.fail("not resumed"))
    assert figure4.main() == 0
    monkeypatch.setattr(sys, "argv", ["figure4.py", *words, "--rows", "hmm"])
    assert figure4.main() == 2
    assert "did you mean hmn" in capsys.readouterr().err
