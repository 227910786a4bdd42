"""A file from a pipe, a file object or bytes; paths in every form that Python knows."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hmnpack
from hmnpack.bundle import inspect, opened, read
from hmnpack.bundle.faults import HeaderTooLarge, NotABundle, TrailingBytes, Truncated

GOLDEN = Path(__file__).parents[1] / "golden" / "v1-hmn.hmn"


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time and then the rest endlessly."""

    def __init__(self, data, rest=b""):
        self.data, self.rest, self.given = io.BytesIO(data), rest, 0

    def read(self, count=-1):
        found = self.data.read(min(count, 1000)) or self.rest * min(count, 1000)
        self.given += len(found)
        return found


@pytest.fixture
def data():
    return GOLDEN.read_bytes()


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, io.BytesIO, Dribble])
def test_content_and_file_objects_are_read(data, form):
    assert inspect(form(data), verify=True) == inspect(GOLDEN)
    assert read(form(data)).to_bytes() == data
    assert len(hmnpack.load(form(data))) == 6


def test_file_object_is_read_from_its_position(data):
    file = io.BytesIO(b"before" + data)
    file.seek(6)
    assert inspect(file) == inspect(GOLDEN)


def test_named_pipe_is_read(data, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert read(pipe).to_bytes() == data
    writer.join()


def test_named_pipe_of_a_slow_writer_is_read(data, tmp_path):
    pipe, waits = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def write():
        with pipe.open("wb") as file:
            waits.wait()
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    threading.Timer(0.3, waits.set).start()
    assert read(pipe).to_bytes() == data
    writer.join()


def test_named_pipe_without_a_writer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "PIPE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(NotABundle, match="is a pipe that nothing wrote to for"):
        inspect(pipe)


def test_endless_stream_is_read_no_further_than_its_header_states(data):
    stream = Dribble(data, rest=b"\0")
    with pytest.raises(TrailingBytes, match="the file object: has 1 bytes after"):
        read(stream)
    assert stream.given == len(data) + 1
    noise = Dribble(b"", rest=b"\xff")
    with pytest.raises(HeaderTooLarge):
        inspect(noise)
    assert noise.given <= 2**20 + 8


def test_faulty_content_is_named(data):
    with pytest.raises(Truncated, match=f"^{len(data) - 1:,} bytes: has"):
        read(data[:-1])
    with pytest.raises(NotABundle, match="opened as text"):
        read(io.StringIO("text"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"),
    [("inspect", "-"), ("inspect", "/dev/stdin"), ("verify", "-"), ("expand", "-")],
)
def test_commands_read_standard_input(data, tmp_path, command, name):
    more = ("-o", tmp_path / "out") if command == "expand" else ()
    words = [sys.executable, "-m", "hmnpack", command, name, *more]
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" 6 images" in done.stdout or command == "expand"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("form", [str, os.fsencode, Path])
def test_paths_may_be_text_bytes_or_objects_and_begin_with_a_tilde(home, form, data):
    bundle = read(GOLDEN)
    bundle.save(form("~/a.hmn"))
    assert (home / "a.hmn").read_bytes() == data
    assert inspect(form("~/a.hmn")) == bundle.manifest
    assert hmnpack.load(form("~/a.hmn")).root == "~/a.hmn"
    assert hmnpack.verify(form("~/a.hmn")).manifest == bundle.manifest
    assert hmnpack.expand(form("~/a.hmn"), form("~/out")) == home / "out"
    assert hmnpack.report(form("~/a.hmn"), form("~/a.html")) == home / "a.html"
    options = hmnpack.SourceOptions(cache_dir=form("~/cache"), data_dir=form("~/data"))
    assert (options.cache_root, options.data_root) == (home / "cache", home / "data")
    folder = home / "out"
    (folder / "0").parent.rename(home / "train")
    (home / "pets").mkdir()
    (home / "train").rename(home / "pets" / "train")
    assert len(hmnpack.open_source(form("~/pets"), options).train) == 6


@pytest.mark.parametrize("variable", ["HMNPACK_DATA", "HMNPACK_CACHE", "XDG_CACHE_HOME"])
def test_environment_variables_may_begin_with_a_tilde(home, variable, monkeypatch):
    for name in ("HMNPACK_DATA", "HMNPACK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "~/there")
    options = hmnpack.SourceOptions()
    root = options.data_root if variable == "HMNPACK_DATA" else options.cache_root
    assert root.is_relative_to(home / "there")
