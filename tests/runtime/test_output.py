"""Output files are written whole, and over nothing by accident."""

import os

import pytest

from hmnpack.errors import OutputExists
from hmnpack.runtime.output import replacing, write_atomically


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request, monkeypatch):
    """A file system with hard links, and one without."""
    if not request.param:

        def link(*_):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", link)
    return request.param


@pytest.mark.parametrize("force", [True, False])
def test_file_is_written(tmp_path, links, force):
    write_atomically(tmp_path / "a", b"data", force)
    assert (tmp_path / "a").read_bytes() == b"data"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_force_replaces(tmp_path, links):
    (tmp_path / "a").write_bytes(b"old")
    write_atomically(tmp_path / "a", b"new", True)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_file_that_appears_after_the_last_check_is_kept(tmp_path, monkeypatch):
    """Two processes that write one new name: the second one's check is too early."""
    path, link = tmp_path / "a", os.link

    def late(source, target):
        path.write_bytes(b"of another process")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(OutputExists, match="exists"), replacing(path, force=False) as file:
        file.write(b"mine")
    assert path.read_bytes() == b"of another process"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
