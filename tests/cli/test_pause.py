"""Pausing and resuming, from the command line."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")
RUN = ("compress", "digits", "--ipc", "2", "--recipe", "smoke", "--device", "cpu")


@pytest.fixture
def compress(run, tmp_path):
    def invoke(name, *more):
        cache = ("--cache-dir", tmp_path / "cache")
        return run(*RUN, "-o", tmp_path / name, *cache, *more)

    return invoke


@pytest.mark.slow
def test_resumed_run_produces_the_same_bytes(compress, tmp_path):
    paused = compress("a.hmn", "--max-minutes", 0)
    assert paused.exit_code == 5, paused.output
    assert "--resume" in paused.stderr
    assert not (tmp_path / "a.hmn").exists()
    while (resumed := compress("a.hmn", "--max-minutes", 0, "--resume")).exit_code == 5:
        assert not (tmp_path / "a.hmn").exists()
    assert resumed.exit_code == 0, resumed.output
    assert compress("b.hmn").exit_code == 0
    assert (tmp_path / "a.hmn").read_bytes() == (tmp_path / "b.hmn").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hmn", "b.hmn", "cache"]


@pytest.mark.skipif(not hasattr(signal, "SIGTERM"), reason="no SIGTERM on this platform")
@pytest.mark.slow
def test_sigterm_pauses_a_run(tmp_path):
    """SIGTERM during matching leaves a checkpoint and no output."""
    words = [*RUN, "-o", "a.hmn", "--cache-dir", "cache", "--set", "match.steps=1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hmnpack", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for line in process.stderr:
        if line.startswith("warm-up"):
            break
    process.send_signal(signal.SIGTERM)
    expected = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 5, expected
    assert "pausing" in expected
    assert "--resume" in expected
    assert (tmp_path / "a.hmn.ckpt").exists()
    assert not (tmp_path / "a.hmn").exists()
