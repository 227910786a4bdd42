"""Datasets that do not fit in memory are kept on disk, or refused with advice."""

from collections import namedtuple

import pytest
import torch

from hmnpack.errors import BadData
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.sink import FileSink


@pytest.fixture
def no_cache(tmp_path):
    """Options with a cache folder that cannot be written."""
    (tmp_path / "file").touch()
    return SourceOptions(cache_dir=tmp_path / "file")


@pytest.mark.parametrize("images", [3, 4])
def test_images_beyond_memory_and_cache_are_refused_early(
    no_cache, make_folder, monkeypatch, images
):
    monkeypatch.setattr("hmnpack.sources.sink.physical_memory", lambda: 3 * 3 * 6 * 4)
    root, options = make_folder(train={"cat": images}), no_cache
    if images == 3:
        assert len(open_source(root, options).train) == 3
        return
    with pytest.raises(BadData, match=r"4 images of 6x4 pixels need .*--cache-dir.*--size"):
        open_source(root, options)


def test_images_that_fit_once_resized_are_read(no_cache, make_folder, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.sink.physical_memory", lambda: 4 * 3 * 2 * 2)
    root = make_folder(train={"cat": 4})
    small = SourceOptions(size=2, cache_dir=no_cache.cache_dir)
    assert len(open_source(root, small).train) == 4


def test_images_beyond_memory_are_kept_in_the_cache(options, make_folder, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.sink.physical_memory", lambda: 1)
    assert len(open_source(make_folder(train={"cat": 4}), options).train) == 4


def test_images_without_room_on_the_disk_are_kept_in_memory(options, make_folder, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("hmnpack.sources.sink.shutil.disk_usage", lambda _: usage(4 * 6 * 4 - 1))
    source = open_source(make_folder(train={"cat": 4}), options)
    assert isinstance(source.train.pixels, torch.Tensor)
    assert not list((options.cache_root / "decoded").iterdir())


@pytest.mark.parametrize("written", [1, 2])
def test_disk_that_becomes_full_is_no_error(options, make_folder, monkeypatch, written):
    """Of three tasks, the first ones are written; then all is decoded again, into memory."""
    add, calls = FileSink.add, []

    def add_until_full(sink, pixels):
        calls.append(pixels)
        if len(calls) > written:
            sink.close()
            monkeypatch.setattr(sink, "_file", Full())
        add(sink, pixels)

    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("hmnpack.sources.decode._CHUNK", 2)
    monkeypatch.setattr(FileSink, "add", add_until_full)
    root = make_folder(train={"cat": 3, "dog": 2}, test={"cat": 1})
    found = open_source(root, options)
    monkeypatch.undo()
    expected = open_source(root, options)
    for part in ("train", "test"):
        assert getattr(found, part).fingerprint == getattr(expected, part).fingerprint
        assert torch.equal(getattr(found, part).images, getattr(expected, part).images)
    assert len(list((options.cache_root / "decoded").iterdir())) == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: out of memory"), KeyError("x")]
)
@pytest.mark.parametrize(("size", "advised"), [(None, 224), (64, 32), (1, 1)])
def test_allocation_that_fails_names_a_smaller_size(
    options, make_folder, monkeypatch, error, size, advised
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("hmnpack.sources.folder.decode_source", fail)
    given = SourceOptions(size=size, cache_dir=options.cache_dir)
    expected = type(error) if isinstance(error, KeyError) else BadData
    with pytest.raises(expected) as caught:
        open_source(make_folder(train={"cat": 1}), given)
    if expected is BadData:
        assert str(caught.value).endswith(f"such as --size {advised}")
