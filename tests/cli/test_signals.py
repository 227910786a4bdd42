"""Signals that end a command, at any moment."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

COMMAND = """
import time
from pathlib import Path
import click
from hmnpack.cli import group, main
from hmnpack.runtime.log import together
from hmnpack.runtime.output import replacing

def library():
    import library

def work():
    with replacing("result", force=False):
        {work}

group.LazyGroup.get_command = lambda *_: click.Command("x", callback=work)
main(["x"])
"""
"""A command that does some work while it writes a result."""

LONG = 'Path("begun").touch(); time.sleep(60)'

LIBRARY = """
import time
from pathlib import Path
Path("begun").touch()
time.sleep({seconds})
Path("imported").touch()
"""
"""A module that takes a while to import."""


class Process:
    """A process that runs Python code in a folder, until it has touched the file ``begun``."""

    def __init__(self, folder, code):
        self.folder = folder
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while not (folder / "begun").exists() and time.monotonic() < until:
            time.sleep(0.01)

    def ended_by(self, number):
        """Send a signal; return the exit code, what was said, and which files are left."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=50)[1]
        left = {path.name for path in self.folder.iterdir()} - {"begun", "library.py"}
        return self.process.returncode, said, left - {"__pycache__"}


INTERRUPTED = (130, "hmnpack: interrupted\n", set())


@pytest.fixture
def started(tmp_path):
    """Return a function that starts a process, which is killed at the end of the test."""
    processes = []

    def start(code):
        processes.append(Process(tmp_path, textwrap.dedent(code)))
        return processes[-1]

    yield start
    for each in processes:
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_ends_a_command_and_leaves_no_part(started, name):
    assert started(COMMAND.format(work=LONG)).ended_by(getattr(signal, name)) == INTERRUPTED


def test_ignored_hang_up_stays_ignored(started):
    """As under ``nohup``: the command goes on until it is ended otherwise."""
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    command = started(ignored + COMMAND.format(work=LONG))
    command.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert command.process.poll() is None
    assert command.ended_by(signal.SIGTERM) == INTERRUPTED


def test_repeated_signal_does_not_interrupt_the_cleaning_up(started):
    """A terminal that closes sends several."""
    cleaning = f"""
        try:
            {LONG}
        finally:
            time.sleep(0.5)
            click.echo("cleaned", err=True)
    """
    command = started(COMMAND.format(work=cleaning.strip()))
    command.process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    code, said, left = command.ended_by(signal.SIGHUP)
    assert (code, said, left) == (130, "cleaned\nhmnpack: interrupted\n", set())


def test_interruption_that_python_cannot_raise_is_repeated(started):
    work = f"type('X', (), {{'__del__': lambda _: exec({LONG!r})}})(); time.sleep(60)"
    assert started(COMMAND.format(work=work)).ended_by(signal.SIGTERM) == INTERRUPTED


def test_interruption_that_becomes_another_error_is_one(started):
    work = f"""
        try:
            {LONG}
        except KeyboardInterrupt:
            raise SystemError("an extension module lost an exception") from None
    """
    assert started(COMMAND.format(work=work.strip())).ended_by(signal.SIGINT) == INTERRUPTED


def test_import_at_the_start_of_a_command_ends_at_once(started, tmp_path):
    (tmp_path / "library.py").write_text(LIBRARY.format(seconds=60))
    code = COMMAND.replace("with replacing", "library()\n    with replacing").format(work="pass")
    assert started(code).ended_by(signal.SIGINT) == INTERRUPTED


def test_import_amid_work_is_completed_first(started, tmp_path):
    (tmp_path / "library.py").write_text(LIBRARY.format(seconds=0.5))
    work = "together(lambda *_: library())('stage', 1, 1); time.sleep(60)"
    code, said, left = started(COMMAND.format(work=work)).ended_by(signal.SIGINT)
    assert (code, said, left) == (130, "hmnpack: interrupted\n", {"imported"})


def test_signal_while_python_ends_changes_nothing(started):
    late = f"""
        import atexit
        atexit.register(lambda: exec({LONG.replace("60", "0.5")!r}))
    """
    command = started(COMMAND.format(work=late.strip()))
    assert command.ended_by(signal.SIGINT) == (0, "", {"result"})
