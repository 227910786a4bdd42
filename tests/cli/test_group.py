"""Exit codes and one-line errors."""

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
    """Add a command `fail`; return the function that sets the error it raises."""
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
def test_error_is_one_line_with_its_exit_code(run, failing, error, code):
    failing(error)
    done = run("fail")
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.startswith("hmnpack: ")
    assert done.stderr.count("\n") == 1


def test_unencodable_output_is_escaped():
    """Standard output may not be UTF-8, which must not discard hours of work."""
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


def test_error_line_is_the_message_of_the_error(run, failing):
    failing(errors.BadData("no such\nthing"))
    assert run("fail").stderr == "hmnpack: no such thing\n"


def test_bug_asks_for_a_report_and_prints_a_traceback_on_demand(run, failing):
    failing(ZeroDivisionError("division by zero"))
    quiet, loud = run("fail"), run("fail", HMNPACK_DEBUG="1")
    assert "report" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_machine_failures_are_not_reported_as_bugs():
    text = explain(OSError(28, "No space left on device", "f.hmn"))
    assert text == "f.hmn: No space left on device"
    assert "batch" in explain(MemoryError())


def test_errors_escape_control_characters():
    assert one_line("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"


@pytest.mark.parametrize(
    ("arguments", "words"),
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
def test_usage_error_is_one_line_with_a_pointer_to_the_help(run, arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("hmnpack: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_hmnpack_version_variable_is_ignored(run, bundle_file):
    done = run("inspect", bundle_file, HMNPACK_VERSION="0.3")
    assert done.exit_code == 0
    assert "Ledger" in done.stdout


def test_help_is_printed_without_a_command(run):
    assert "Commands:" in run().output


def test_closed_pipe_exits_quietly(bundle_file):
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


def test_sigterm_requests_a_pause_and_a_second_signal_interrupts(capfd):
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


def test_signal_interrupts_before_the_run_begins(capfd):
    from hmnpack.cli.cmd_compress import Pausing

    with Pausing() as pausing, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not pausing.requested
    assert capfd.readouterr().err == ""
