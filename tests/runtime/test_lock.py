"""Locks of outputs: one holder at a time, none after its end, however it ended."""

import signal
import subprocess
import sys

import pytest

from hmnpack.errors import OutputExists
from hmnpack.runtime.lock import check_unlocked, lock_of, locked

pytest.importorskip("fcntl")

HOLD = """
import sys, time
from pathlib import Path
from hmnpack.runtime.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def output(tmp_path):
    return tmp_path / "x.hmn"


def test_lock_excludes_a_second_holder_until_its_end(output):
    with locked(output):
        with pytest.raises(OutputExists, match="another run is writing"), locked(output):
            pass
        with pytest.raises(OutputExists, match="name another file"):
            check_unlocked(output)
    with locked(output):
        pass
    assert list(output.parent.iterdir()) == []


def test_failing_holder_releases_the_lock(output):
    with pytest.raises(ZeroDivisionError), locked(output):
        raise ZeroDivisionError
    check_unlocked(output)
    assert not lock_of(output).exists()


def test_outputs_of_one_folder_have_their_own_locks(output):
    with locked(output), locked(output.with_name("y.hmn")):
        check_unlocked(output.with_name("z.hmn"))


def test_killed_holder_leaves_no_lock(output):
    command = [sys.executable, "-c", HOLD, str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputExists), locked(output):
            pass
        process.send_signal(signal.SIGKILL)
    assert lock_of(output).exists()
    check_unlocked(output)
    with locked(output):
        pass
    assert not lock_of(output).exists()


def test_folder_that_cannot_hold_a_lock_locks_nothing(tmp_path):
    with locked(tmp_path / "missing" / "x.hmn"):
        pass
    with locked(tmp_path / ("x" * 254)):
        pass
    assert list(tmp_path.iterdir()) == []
