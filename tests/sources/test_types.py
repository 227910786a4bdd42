import os
from pathlib import Path

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.schema.container import ImageShape
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.sources.types import split_of


@pytest.mark.parametrize("size", [0, -1, 4097])
def test_size_out_of_range_is_rejected(size):
    with pytest.raises(BadSettings, match=f"size is {size}; it must be from 1 to 4096"):
        SourceOptions(size=size)


def test_folders_come_from_options_environment_or_home(monkeypatch):
    monkeypatch.setenv("HMNPACK_DATA", "/env/data")
    monkeypatch.setenv("HMNPACK_CACHE", "/env/cache")
    assert SourceOptions(data_dir=Path("/given")).data_root == Path("/given")
    assert SourceOptions().data_root == Path("/env/data")
    assert SourceOptions().cache_root == Path("/env/cache")
    monkeypatch.delenv("HMNPACK_DATA")
    monkeypatch.delenv("HMNPACK_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert SourceOptions().data_root == Path.home() / ".cache/hmnpack/data"
    assert SourceOptions().cache_root == Path.home() / ".cache/hmnpack"


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/xdg", Path("/xdg")), ("", Path.home() / ".cache"), ("here", Path.home() / ".cache")],
)
def test_folders_follow_the_base_directory_specification(monkeypatch, given, folder):
    monkeypatch.delenv("HMNPACK_DATA", raising=False)
    monkeypatch.delenv("HMNPACK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert SourceOptions().data_root == folder / "hmnpack/data"
    assert SourceOptions().cache_root == folder / "hmnpack"
    monkeypatch.setenv("HMNPACK_CACHE", "/env/cache")
    assert SourceOptions().cache_root == Path("/env/cache")


@pytest.mark.parametrize("spec", ["~/pets", b"~/pets", Path("~/pets")], ids=repr)
def test_dataset_below_the_home_folder(make_folder, options, monkeypatch, spec):
    root = make_folder(train={"cat": 2})
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(open_source(spec, options).train) == 2


def test_path_of_bytes_that_are_not_utf_8(make_folder, options):
    root = make_folder(train={"cat": 2})
    odd = os.path.join(os.fsencode(root.parent), b"p\xe9ts")  # noqa: PTH118 - bytes
    root.rename(os.fsdecode(odd))
    assert len(open_source(odd, options).train) == 2


def test_source_has_the_shape_of_its_images():
    split = split_of(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), torch.tensor([0, 1]))
    assert Source("x", ("a", "b"), split, None).image == ImageShape(channels=3, height=4, width=5)
    assert len(split) == 2


def test_empty_path_is_rejected():
    with pytest.raises(BadSettings, match="a path is empty"):
        SourceOptions(cache_dir="").cache_root  # noqa: B018


def test_unknown_home_folder_is_rejected(monkeypatch):
    with pytest.raises(BadSettings, match="'~nosuchuser/x' does not exist: no such home folder"):
        open_source("~nosuchuser/x")
    monkeypatch.setenv("HMNPACK_CACHE", "~nosuchuser/cache")
    with pytest.raises(BadSettings, match="set HMNPACK_CACHE to a folder"):
        SourceOptions().cache_root  # noqa: B018
