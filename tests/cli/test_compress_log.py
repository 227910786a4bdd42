"""`compress --log`, `--tensorboard` and `--probes`: what a run leaves beside its file."""

import json
import sys
from types import SimpleNamespace

import pytest

from hmnpack.errors import Paused


@pytest.fixture
def told(monkeypatch, bundle):
    """A run of two events, paused after the first where it may go on: what it was told."""
    told = []

    def compress(data, ipc, *, options, listener, **given):
        told.append(options)
        listener("decode", 1, 1)
        if not options.resume:
            listener("matching", 1, 2, loss=float("nan"))
            raise Paused("paused at step 1 of 2 of matching; --resume")
        listener("matching", 2, 2, loss=0.5)
        return bundle

    monkeypatch.setattr("hmnpack.condensing.run.compress", compress)
    return told


@pytest.fixture
def pack(run, tmp_path):
    def invoke(*options):
        return run("compress", "pets", "--ipc", 5, "-o", tmp_path / "pets.hmn", "-q", *options)

    return invoke


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_is_a_line_and_a_resumed_run_appends(pack, told, tmp_path):
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


def test_a_real_run_is_logged_from_pool_to_matching(run, tmp_path):
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
    ("name", "said"),
    [
        ("absent/run.jsonl", "does not exist; create it"),
        ("notes.txt", "is not a run log"),
        (".", "folder"),
    ],
)
def test_a_log_that_cannot_be_written_is_refused_before_data_are_read(
    pack, told, tmp_path, name, said
):
    (tmp_path / "notes.txt").write_text("mine")
    done = pack("--log", tmp_path / name)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert told == []
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_figures_go_to_tensorboard(pack, told, tmp_path, monkeypatch):
    written = []

    def writer(folder, flush_secs):
        def add_scalar(tag, value, step):
            written.append((folder, tag, value, step))

        return SimpleNamespace(add_scalar=add_scalar, close=lambda: written.append("closed"))

    module = SimpleNamespace(SummaryWriter=writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    assert pack("--tensorboard", tmp_path / "tb", "--resume").exit_code == 0
    assert written == [(str(tmp_path / "tb"), "matching/loss", 0.5, 2), "closed"]


def test_without_tensorboard_it_names_the_extra(pack, told, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    done = pack("--tensorboard", tmp_path / "tb")
    assert done.exit_code == 7
    assert "pip install -e '.[tensorboard]'" in done.stderr
    assert told == []


def test_probes_reach_the_run(pack, told):
    assert pack("--resume", "--probes", 4).exit_code == 0
    assert pack("--resume").exit_code == 0
    assert [options.probes for options in told] == [4, 0]
    assert pack("--probes", -1).exit_code == 2


@pytest.mark.parametrize(
    ("log", "said"), [("x.hmn", "is the output"), ("x.hmn.ckpt", "is the checkpoint of the output")]
)
def test_a_log_has_a_file_of_its_own(run, told, tmp_path, monkeypatch, log, said):
    monkeypatch.chdir(tmp_path)
    done = run("compress", "pets", "--ipc", 1, "-o", "x.hmn", "--log", log)
    assert (done.exit_code, told) == (2, [])
    assert f"{log} {said}" in done.stderr
    assert not list(tmp_path.glob("x.hmn*"))


def test_a_command_that_forgets_to_resume_leaves_the_log_as_it_is(run, told, tmp_path):
    (tmp_path / "x.hmn.ckpt").write_bytes(b"a run")
    (tmp_path / "x.jsonl").write_text("its log\n")
    words = ("-o", tmp_path / "x.hmn", "--log", tmp_path / "x.jsonl")
    done = run("compress", "pets", "--ipc", 1, *words)
    assert (done.exit_code, told) == (2, [])
    assert "holds an unfinished run" in done.stderr
    assert (tmp_path / "x.jsonl").read_text() == "its log\n"


def test_minutes_are_a_number(run, told, tmp_path):
    words = ("compress", "pets", "--ipc", 1, "-o", tmp_path / "x.hmn", "--max-minutes", "nan")
    assert "max_minutes nan is not a number" in run(*words).stderr
    assert told == []
