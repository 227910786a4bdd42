"""Exit codes, and errors as one line."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import click
import pytest

from hmnpack import errors
from hmnpack.cli import group
from hmnpack.cli.group import explain, one_line


@pytest.fixture
def failing(monkeypatch):
    """Make a command `fail` that raises what it is told to."""
    raised = []

    @click.command()
    def fail():
        raise raised[0]

    module = SimpleNamespace(fail_command=fail)
    monkeypatch.setitem(sys.modules, "hmnpack.cli.cmd_fail", module)
    monkeypatch.setitem(group.COMMANDS, "fail", "Fail.")
    return raised.append


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadSettings("x"), 2),
        (errors.OutputExists("x"), 2),
        (errors.BudgetTooSmall("x"), 2),
        (errors.BadData("x"), 3),
        (errors.BadImage("x"), 3),
        (errors.BadBundle("x"), 4),
        (errors.Paused("x"), 5),
        (errors.ScoreFails("x"), 6),
        (errors.MissingExtra.of("this", "that"), 7),
        (errors.Diverged("x"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 1),
        (OSError(28, "No space left on device", "f.hmn"), 1),
        (MemoryError(), 1),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(run, failing, error, code):
    failing(error)
    done = run("fail")
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.startswith("hmnpack: ")
    assert done.stderr.count("\n") == 1


def test_what_standard_output_cannot_show_is_escaped():
    """Where it is not UTF-8, and after hours of work."""
    script = (
        "import click; from hmnpack.cli import group;"
        "command = click.Command('x', callback=lambda: print('\u732b'));"
        "group.LazyGroup.get_command = lambda *_: command;"
        "group.main(['x'])"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("\\u732b\n", "")


def test_the_line_is_the_errors_own(run, failing):
    failing(errors.BadData("no such\nthing"))
    assert run("fail").stderr == "hmnpack: no such thing\n"


def test_a_defect_asks_to_be_reported_and_shows_its_traceback_only_on_demand(run, failing):
    failing(ZeroDivisionError("division by zero"))
    quiet, loud = run("fail"), run("fail", HMNPACK_DEBUG="1")
    assert "report" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_the_machines_failures_are_not_called_defects():
    text = explain(OSError(28, "No space left on device", "f.hmn"))
    assert text == "f.hmn: No space left on device"
    assert "batch" in explain(MemoryError())


def test_errors_cannot_steer_the_terminal():
    assert one_line("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("compres",), ("'compres'", "did you mean compress?", "hmnpack --help")),
        (("qq",), ("'qq'", "hmnpack --help")),
        (("--bogus",), ("'--bogus'", "hmnpack --help")),
        (("compress",), ("'DATA'", "hmnpack compress --help")),
        (("compress", "d", "--ipc", "x"), ("'--ipc'", "'x'", "hmnpack compress --help")),
        (("compress", "d", "--ipc"), ("'--ipc'", "argument", "hmnpack compress --help")),
        (("inspect", "--jsn", "f"), ("'--jsn'", "'--json'", "hmnpack inspect --help")),
        (("verify", "a\x1b[2J", "--\x1b[2J"), ("\\x1b", "hmnpack verify --help")),
    ],
)
def test_misuse_is_one_line_that_names_the_help(run, typed, words):
    done = run(*typed)
    assert done.exit_code == 2
    assert done.stderr.startswith("hmnpack: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_variable_for_the_version_is_somebody_elses(run, bundle_file):
    done = run("inspect", bundle_file, HMNPACK_VERSION="0.3")
    assert done.exit_code == 0
    assert "Ledger" in done.stdout


def test_without_a_command_the_help_is_shown(run):
    assert "Commands:" in run().output


def test_a_closed_pipe_ends_quietly(bundle_file):
    code = "from hmnpack.cli import main; main(prog_name='hmnpack')"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "inspect", str(bundle_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_sigterm_asks_for_a_pause_and_a_second_signal_interrupts(capfd):
    from hmnpack.cli.cmd_compress import Pausing

    before = signal.getsignal(signal.SIGTERM)
    with Pausing() as pausing:
        pausing.begin()
        assert not pausing.requested
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0)
        assert pausing.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
    assert "pausing" in capfd.readouterr().err


def test_a_signal_interrupts_while_there_is_nothing_to_pause(capfd):
    from hmnpack.cli.cmd_compress import Pausing

    with Pausing() as pausing, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not pausing.requested
    assert capfd.readouterr().err == ""
