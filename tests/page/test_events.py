"""Logs: which events are read, and which are skipped."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnpack.errors import BadSettings
from hmnpack.page.events import log_of, read_log
from hmnpack.runtime.log import JsonLines


def line(**event):
    return json.dumps(event).encode() + b"\n"


def progress(done, loss, stage="matching", total=9, seconds=1.0):
    figures = {"loss": loss}
    return line(
        event="progress", seconds=seconds, stage=stage, done=done, total=total, figures=figures
    )


def test_written_log_is_read_back(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as listener:
        listener("matching", 1, 3, loss=2.5)
        listener("matching", 2, 3, loss=1.5, accuracy=40.0)
        listener("warm-up", 0, 3)
        listener("matching", 3, 3, loss=float("inf"))
    log = read_log(path)
    assert log.stages["matching"].curve("loss") == [(1, 2.5), (2, 1.5)]
    assert log.stages["matching"].curve("accuracy") == [(2, 40.0)]
    assert (list(log.stages), log.stages["warm-up"].curve("loss")) == (["matching", "warm-up"], [])
    assert (log.ended, log.resumed) == (True, 0)


def test_last_run_and_last_value_of_a_step_are_read():
    begun, resumed = line(event="begun", seconds=0.0), line(event="resumed", seconds=5.0)
    first = [begun, progress(1, 9.0), progress(2, 9.0)]
    second = [begun, progress(1, 3.0), progress(2, 2.0), progress(3, 1.5, seconds=8.0)]
    again = [resumed, progress(2, 2.25), line(event="stopped", seconds=6.0, why="Paused")]
    log = log_of([*first, *second, *again])
    assert log.stages["matching"].curve("loss") == [(1, 3.0), (2, 2.25), (3, 1.5)]
    assert (log.resumed, log.ended, log.seconds) == (1, False, 8.0)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\n",
        b"{",
        b"[1]\n",
        b"\xff\xfe\n",
        b'"progress"\n',
        b"[" * 100_000,
        line(event="progress"),
        progress(-1, 1.0),
        progress(2**60, 1.0),
        progress(1.5, 1.0),
        progress(True, 1.0),
        progress(1, None),
        progress(1, "1"),
        progress(1, True),
        progress(1, 10**400),
        progress(1, 1e31),
        line(event="progress", stage=["x"], done=1, total=2, figures={"loss": 1.0}),
        line(event="progress", stage="x", done=1, total=2, figures=[1.0]),
        b'{"event":"progress","stage":"x","done":1,"total":2,"figures":{"loss":NaN}}\n',
    ],
)
def test_invalid_lines_are_skipped(bad):
    log = log_of([bad, progress(7, 1.0)])
    assert log.stages["matching"].curve("loss") == [(7, 1.0)]
    assert all(stage.curve("loss") == [] for stage in log.stages.values() if stage.name == "x")


def test_tiny_values_are_zero_and_stages_are_bounded():
    log = log_of([progress(1, 1e-40), *(progress(1, 1.0, f"s{n}") for n in range(2000))])
    assert log.stages["matching"].curve("loss") == [(1, 0.0)]
    assert len(log.stages) == 1000


KEYS = st.sampled_from(["event", "stage", "done", "total", "figures", "seconds", "loss"])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["progress", "x"])
)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(KEYS, LEAVES, max_size=2)


@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(st.lists(st.dictionaries(KEYS, VALUES), max_size=4))
def test_arbitrary_events_are_accepted(events):
    log_of(json.dumps(event).encode() for event in events)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"GIF89a", b'{"x": 1}\n'])
def test_file_that_is_not_a_log_is_rejected(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadSettings, match="is not the log of a run"):
        read_log(path)


def test_unreadable_log_is_rejected(tmp_path):
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(BadSettings, match="cannot be read"):
            read_log(path)
