"""Standard streams that fail."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this platform")

WORK = """
    from pathlib import Path
    import click
    from hmnpack.cli import group, main
    from hmnpack.cli.progress import progress_display

    def work():
        with progress_display() as listener:
            for done in range(5):
                listener("working", done + 1, 5, loss=1.0)
                listener("again", 1, 1)
                click.echo("a message", err=True)
        Path("result").write_text("done")

    group.LazyGroup.get_command = lambda *_: click.Command("x", callback=work)
    main(["x"])
"""
"""A command that reports its progress, and then writes a result."""


def script(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def hmnpack(*words):
    return [*script("from hmnpack.cli import main; main(prog_name='hmnpack')"), *map(str, words)]


def closed_pipe():
    """Return the writing end of a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.fixture(params=["closed pipe", pytest.param("full disk", marks=needs_full), "closed"])
def failing_stderr(request):
    """Return the options of a process whose standard error cannot be written."""
    if request.param == "closed":
        yield {"preexec_fn": lambda: os.close(2)}
        return
    place = closed_pipe() if request.param == "closed pipe" else os.open(FULL, os.O_WRONLY)
    yield {"stderr": place}
    os.close(place)


def test_progress_that_cannot_be_written_does_not_end_the_work(failing_stderr, tmp_path):
    done = subprocess.run(script(WORK), cwd=tmp_path, check=False, **failing_stderr)
    assert done.returncode == 0
    assert (tmp_path / "result").read_text() == "done"


def test_exit_code_survives_an_error_line_that_cannot_be_written(failing_stderr, tmp_path):
    command = hmnpack("inspect", tmp_path / "none.hmn")
    assert subprocess.run(command, check=False, **failing_stderr).returncode == 4


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("expand", "--help"),
        ("settings",),
        ("inspect", "{file}"),
        ("inspect", "{file}", "--json"),
    ],
)
def test_result_onto_a_full_disk_is_one_line(bundle_file, words):
    words = [word.format(file=bundle_file) for word in words]
    with FULL.open("wb") as full:
        done = subprocess.run(
            hmnpack(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.startswith("hmnpack: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("--help",), ("settings",), ("inspect", "{file}", "--json")])
def test_closed_standard_output_is_quiet(bundle_file, words):
    words = [word.format(file=bundle_file) for word in words]
    pipe = closed_pipe()
    done = subprocess.run(
        hmnpack(*words), stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(pipe)
    assert (done.returncode, done.stderr) == (1, "")
