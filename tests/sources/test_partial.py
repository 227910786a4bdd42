"""Folders that are not complete yet."""

import subprocess
import sys

import pytest

from hmnpack.sources.partial import partial_folder

KILLED = """
import os, pathlib, sys
from hmnpack.sources.partial import partial_folder
with partial_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "pixels").write_bytes(b"half")
    os._exit(0)
"""


def test_folder_is_removed_unless_renamed(tmp_path):
    place = tmp_path / "cache" / "entry"
    with partial_folder(place) as folder:
        (folder / "pixels").touch()
    assert not list(place.parent.iterdir())
    with partial_folder(place) as folder:
        (folder / "pixels").touch()
        folder.rename(place)
    assert [path.name for path in place.parent.iterdir()] == ["entry"]


def test_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_is_not(tmp_path):
    pytest.importorskip("fcntl")
    place = tmp_path / "entry"
    with partial_folder(place) as live:
        subprocess.run([sys.executable, "-c", KILLED, str(place)], check=True)
        assert len(list(tmp_path.iterdir())) == 2
        with partial_folder(place) as other:
            assert sorted(tmp_path.iterdir()) == sorted([live, other])
    assert not list(tmp_path.iterdir())


def test_nothing_is_yielded_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with partial_folder(tmp_path / "file" / "entry") as folder:
        assert folder is None
