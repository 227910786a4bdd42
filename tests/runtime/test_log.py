"""Logs: their lines, kills and resumed runs, rejected paths."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

import hmnpack.runtime.log
from hmnpack.errors import BadSettings, MissingExtra, OutputExists, Paused
from hmnpack.runtime.log import JsonLines, TensorBoard, together


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(hmnpack.runtime.log.time, "monotonic", lambda: now.seconds)
    return now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


def lines(path):
    """Read a log as documented, skipping lines that are not JSON."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def events(path):
    return [line["event"] for line in lines(path)]


def test_log_line_describes_its_event(path, clock):
    before = datetime.now(UTC)
    with JsonLines(path) as log:
        clock.seconds += 1.2344
        log("matching", 10, 500, loss=1.25, accuracy=50.0)
        clock.seconds += 2
        log("decode", 3, 0)
    begun, first, second, ended = lines(path)
    utc = [line.pop("utc") for line in (begun, first, second, ended)]
    assert begun == {"event": "begun", "seconds": 0.0}
    assert first == {
        "event": "progress",
        "seconds": 1.234,
        "stage": "matching",
        "done": 10,
        "total": 500,
        "figures": {"loss": 1.25, "accuracy": 50.0},
    }
    assert (second["stage"], second["total"], second["figures"]) == ("decode", 0, {})
    assert ended == {"event": "ended", "seconds": 3.234}
    times = [datetime.fromisoformat(text) for text in utc]
    assert all(text.endswith("Z") for text in utc)
    assert times == sorted(times)
    assert abs((times[0] - before).total_seconds()) < 60


def test_non_finite_metrics_are_null(path):
    with JsonLines(path) as log:
        log("matching", 1, 2, loss=float("nan"), best=float("inf"), lr=0.1)
    assert lines(path)[1]["figures"] == {"loss": None, "best": None, "lr": 0.1}
    assert "NaN" not in path.read_text()


def test_log_escapes_names_as_ascii(path):
    with JsonLines(path) as log:
        log("naïve\nstage", 1, 2)
    assert path.read_bytes().isascii()
    assert lines(path)[1]["stage"] == "naïve\nstage"


def test_log_records_how_the_run_stopped(path):
    with pytest.raises(Paused), JsonLines(path):
        raise Paused("paused at step 3")
    with pytest.raises(KeyboardInterrupt), JsonLines(path):
        raise KeyboardInterrupt
    assert [line.get("why") for line in lines(path)] == [
        None,
        "Paused: paused at step 3",
        None,
        "KeyboardInterrupt",
    ]


def test_resumed_run_continues_the_log_and_its_time(path, clock):
    with pytest.raises(Paused), JsonLines(path, resumed=True) as log:
        clock.seconds += 60
        log("matching", 10, 20, loss=1.0)
        raise Paused("paused")
    clock.seconds += 10_000
    with JsonLines(path, resumed=True) as log:
        clock.seconds += 5
        log("matching", 20, 20, loss=0.5)
    assert events(path) == ["begun", "progress", "stopped", "resumed", "progress", "ended"]
    assert [line["seconds"] for line in lines(path)] == [0, 60, 60, 60, 65, 65]


def test_new_run_restarts_its_time(path, clock):
    for _ in range(2):
        with JsonLines(path) as log:
            clock.seconds += 60
            log("matching", 10, 10)
    assert events(path) == ["begun", "progress", "ended"] * 2
    assert [line["seconds"] for line in lines(path)] == [0, 60, 60] * 2


def test_ended_run_is_not_resumed(path, clock):
    """`--resume` with nothing left to resume starts another run."""
    for _ in range(2):
        with JsonLines(path, resumed=True):
            clock.seconds += 60
    assert events(path) == ["begun", "ended"] * 2
    assert [line["seconds"] for line in lines(path)] == [0, 60] * 2


@pytest.mark.parametrize("eighths", range(1, 8))
def test_truncated_line_loses_only_that_line(path, clock, eighths):
    log = JsonLines(path)
    clock.seconds += 7
    log("matching", 10, 20)
    log("matching", 20, 20)
    log.close()
    content = path.read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: last + eighths * (len(content) - last - 1) // 7])
    with JsonLines(path, resumed=True):
        pass
    found = events(path)
    assert found == ["begun", *["progress"] * (2 if eighths == 7 else 1), "resumed", "ended"]
    assert lines(path)[-1]["seconds"] == 7


def test_resumed_time_is_read_from_a_long_log(path, clock):
    with pytest.raises(Paused), JsonLines(path) as log:
        for step in range(1, 1001):
            clock.seconds += 1
            log("matching", step, 1000, loss=1 / 3)
        raise Paused("paused")
    assert path.stat().st_size > hmnpack.runtime.log._TAIL
    with JsonLines(path, resumed=True):
        pass
    assert [line["seconds"] for line in lines(path)[-2:]] == [1000, 1000]


@pytest.mark.slow
def test_killed_process_loses_no_line(path):
    script = """
        import os, signal, sys
        from hmnpack.runtime.log import JsonLines
        log = JsonLines(sys.argv[1])
        for step in range(1, 4):
            log("matching", step, 3, loss=0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [line.get("done") for line in lines(path)] == [None, 1, 2, 3]


@pytest.mark.parametrize("text", ["loss,accuracy\n1,2\n", "{}\n", '{"loss": 1}\n', "\x00" * 20])
def test_file_that_is_not_a_log_is_rejected_unchanged(path, text):
    path.write_text(text)
    with pytest.raises(OutputExists, match="is not a run log; name another"):
        JsonLines(path, resumed=True)
    assert path.read_text() == text


def test_empty_file_becomes_a_log(path):
    path.touch()
    with JsonLines(path, resumed=True):
        pass
    assert events(path) == ["begun", "ended"]


def test_unusable_path_is_rejected_at_once(tmp_path):
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(BadSettings, match=r"the folder .* does not exist"):
        JsonLines(tmp_path / "absent" / "run.jsonl")
    with pytest.raises(OutputExists, match="is a folder"):
        JsonLines(tmp_path)
    with pytest.raises(OutputExists, match="symbolic link"):
        JsonLines(link)
    assert not (tmp_path / "elsewhere.jsonl").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_read_only_file_is_rejected(path):
    path.touch(mode=0o400)
    with pytest.raises(BadSettings, match=r"cannot write .* \(Permission denied\); name another"):
        JsonLines(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")  # noqa: PTH110
def test_full_disk_leaves_events_out_and_is_noted(path):
    log = JsonLines(path)
    kept = os.dup(log._file.fileno())
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        os.dup2(full.fileno(), log._file.fileno())
        log("matching", 1, 3)
    assert log.lost == "No space left on device"
    os.dup2(kept, log._file.fileno())
    os.close(kept)
    log("matching", 2, 3)
    log.close()
    assert [line.get("done") for line in lines(path)] == [None, 2]


def test_event_after_a_torn_line_is_readable(path):
    log = JsonLines(path)
    whole = log._file
    log._file = SimpleNamespace(write=lambda line: whole.write(line[:7]))
    log("matching", 1, 3)
    log._file = whole
    log("matching", 2, 3)
    log.close()
    assert log.lost
    assert [line.get("done") for line in lines(path)] == [None, 2]


def test_tensorboard_that_cannot_write_is_noted(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    log = TensorBoard(tmp_path / "board")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log._writer, "add_scalar", full)
    log("matching", 1, 2, loss=1.0)
    log.close()
    assert log.lost == "No space left on device"


def test_together_calls_each_listener_in_turn():
    calls = []
    first, second = (
        lambda *event, name=name, **facts: calls.append((name, *event, facts)) for name in "ab"
    )
    together(first, second)("matching", 1, 2, loss=0.5)
    together()("matching", 1, 2)
    assert calls == [("a", "matching", 1, 2, {"loss": 0.5}), ("b", "matching", 1, 2, {"loss": 0.5})]


class TestTensorBoard:
    @pytest.fixture
    def written(self, monkeypatch):
        """Calls of a fake TensorBoard writer."""
        calls = []

        class SummaryWriter:
            def __init__(self, folder, flush_secs):
                calls.append(("opened", folder))

            def add_scalar(self, tag, value, step):
                calls.append((tag, value, step))

            def close(self):
                calls.append("closed")

        module = SimpleNamespace(SummaryWriter=SummaryWriter)
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        return calls

    def test_each_metric_is_a_scalar_of_its_stage(self, written, tmp_path):
        with TensorBoard(tmp_path) as board:
            board("warm-up", 10, 500, loss=1.25, lr=0.1)
            board("matching", 10, 20)
        opened = ("opened", str(tmp_path))
        assert written == [opened, ("warm-up/loss", 1.25, 10), ("warm-up/lr", 0.1, 10), "closed"]

    def test_file_instead_of_a_folder_is_rejected(self, written, path):
        path.touch()
        with pytest.raises(OutputExists, match="name a folder"):
            TensorBoard(path)
        assert written == []

    def test_missing_tensorboard_names_the_extra(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "tensorboard", None)
        monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
        with pytest.raises(MissingExtra, match=r"pip install -e '\.\[tensorboard\]'"):
            TensorBoard(tmp_path)

    def test_tensorboard_reads_the_log_of_a_resumed_run(self, tmp_path):
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        for step in (10, 20):
            with TensorBoard(tmp_path / "run") as board:
                board("matching", step, 20, loss=1 / step)
        found = EventAccumulator(str(tmp_path / "run"))
        found.Reload()
        assert [scalar.step for scalar in found.Scalars("matching/loss")] == [10, 20]

    def test_folder_that_cannot_be_created_is_rejected(self, path):
        pytest.importorskip("tensorboard")
        path.touch()
        with pytest.raises(BadSettings, match="name another folder"):
            TensorBoard(path / "below")
