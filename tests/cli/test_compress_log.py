"""`compress --log`, `--tensorboard` and `--probes`: what a run writes besides its output."""

import json
import sys
from types import SimpleNamespace

import pytest

from hmnpack.errors import Paused


@pytest.fixture
def calls(monkeypatch, bundle):
    """Replace the run by two events, with a pause between them; the fixture lists its options."""
    calls = []

    def compress(data, ipc, *, options, listener, **given):
        calls.append(options)
        listener("decode", 1, 1)
        if not options.resume:
            listener("matching", 1, 2, loss=float("nan"))
            raise Paused("paused at step 1 of 2 of matching; --resume")
        listener("matching", 2, 2, loss=0.5)
        return bundle

    monkeypatch.setattr("hmnpack.condensing.compress.compress", compress)
    return calls


@pytest.fixture
def pack(run, tmp_path):
    def invoke(*options):
        return run("compress", "pets", "--ipc", 5, "-o", tmp_path / "pets.hmn", "-q", *options)

    return invoke


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_has_one_line_per_event_and_resuming_appends(pack, calls, tmp_path):
    path = tmp_path / "run.jsonl"
    paused = pack("--log", path)
    assert (paused.exit_code, paused.stdout) == (5, "")
    first = path.read_text()
    resumed = pack("--log", path, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert path.read_text().startswith(first)
    steps = [
        (line["stage"], line["done"], line["figures"]) for line in lines(path) if "done" in line
    ]
    assert steps == [
        ("decode", 1, {}),
        ("matching", 1, {"loss": None}),
        ("decode", 1, {}),
        ("matching", 2, {"loss": 0.5}),
    ]
    marks = [line["event"] for line in lines(path) if "done" not in line]
    assert marks == ["begun", "stopped", "resumed", "ended"]
    assert lines(path)[3]["why"] == "Paused: paused at step 1 of 2 of matching; --resume"


def test_log_of_a_real_run_covers_its_stages(run, tmp_path):
    pytest.importorskip("sklearn")
    path = tmp_path / "run.jsonl"
    words = ("compress", "digits", "--ipc", 2, "--recipe", "smoke", "--device", "cpu", "-q")
    done = run(*words, "-o", tmp_path / "a.hmn", "--cache-dir", tmp_path / "cache", "--log", path)
    assert done.exit_code == 0, done.output
    steps = [line for line in lines(path) if line["event"] == "progress"]
    stages = list(dict.fromkeys(line["stage"] for line in steps))
    assert stages[-2:] == ["warm-up", "matching"]
    assert steps[-1]["done"] == steps[-1]["total"]
    assert steps[-1]["figures"]["loss"] > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent/run.jsonl", "does not exist; create it"),
        ("notes.txt", "is not a run log"),
        (".", "folder"),
    ],
)
def test_unwritable_log_fails_before_data_are_read(pack, calls, tmp_path, name, expected):
    (tmp_path / "notes.txt").write_text("mine")
    done = pack("--log", tmp_path / name)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert calls == []
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_metrics_are_written_to_tensorboard(pack, calls, tmp_path, monkeypatch):
    written = []

    def writer(folder, flush_secs):
        def add_scalar(tag, value, step):
            written.append((folder, tag, value, step))

        return SimpleNamespace(add_scalar=add_scalar, close=lambda: written.append("closed"))

    module = SimpleNamespace(SummaryWriter=writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    assert pack("--tensorboard", tmp_path / "tb", "--resume").exit_code == 0
    assert written == [(str(tmp_path / "tb"), "matching/loss", 0.5, 2), "closed"]


def test_missing_tensorboard_names_the_extra(pack, calls, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    done = pack("--tensorboard", tmp_path / "tb")
    assert done.exit_code == 7
    assert "pip install -e '.[tensorboard]'" in done.stderr
    assert calls == []


def test_probes_option_reaches_the_run(pack, calls):
    assert pack("--resume", "--probes", 4).exit_code == 0
    assert pack("--resume").exit_code == 0
    assert [options.probes for options in calls] == [4, 0]
    assert pack("--probes", -1).exit_code == 2


@pytest.mark.parametrize(
    ("log", "expected"),
    [("x.hmn", "is the output"), ("x.hmn.ckpt", "is the checkpoint of the output")],
)
def test_log_must_differ_from_output_and_checkpoint(
    run, calls, tmp_path, monkeypatch, log, expected
):
    monkeypatch.chdir(tmp_path)
    done = run("compress", "pets", "--ipc", 1, "-o", "x.hmn", "--log", log)
    assert (done.exit_code, calls) == (2, [])
    assert f"{log} {expected}" in done.stderr
    assert not list(tmp_path.glob("x.hmn*"))


def test_forgotten_resume_leaves_the_log_unchanged(run, calls, tmp_path):
    (tmp_path / "x.hmn.ckpt").write_bytes(b"a run")
    (tmp_path / "x.jsonl").write_text("its log\n")
    words = ("-o", tmp_path / "x.hmn", "--log", tmp_path / "x.jsonl")
    done = run("compress", "pets", "--ipc", 1, *words)
    assert (done.exit_code, calls) == (2, [])
    assert "holds an unfinished run" in done.stderr
    assert (tmp_path / "x.jsonl").read_text() == "its log\n"


def test_max_minutes_must_be_a_number(run, calls, tmp_path):
    words = ("compress", "pets", "--ipc", 1, "-o", tmp_path / "x.hmn", "--max-minutes", "nan")
    assert "max_minutes must be a number of minutes" in run(*words).stderr
    assert calls == []
