"""Datasets that do not fit in memory: the advice is a smaller image size."""

import pytest

from hmnpack.errors import BadData
from hmnpack.sources import SourceOptions, open_source


@pytest.mark.parametrize("images", [3, 4])
def test_images_beyond_the_machine_s_memory_are_refused_early(
    options, make_folder, monkeypatch, images
):
    monkeypatch.setattr("hmnpack.sources.decode.physical_memory", lambda: 3 * 6 * 4)
    root = make_folder(train={"cat": images})
    if images == 3:
        assert len(open_source(root, options).train) == 3
        return
    with pytest.raises(BadData, match=r"4 images of 6x4 pixels need .*: choose .*--size"):
        open_source(root, options)


def test_images_that_fit_once_resized_are_read(options, make_folder, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.decode.physical_memory", lambda: 20)
    root = make_folder(train={"cat": 4})
    small = SourceOptions(size=2, cache_dir=options.cache_dir)
    assert len(open_source(root, small).train) == 4


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: out of memory"), KeyError("x")]
)
@pytest.mark.parametrize(("size", "advised"), [(None, 224), (64, 32), (1, 1)])
def test_allocation_that_fails_names_a_smaller_size(
    options, make_folder, monkeypatch, error, size, advised
):
    def fail(*_):
        raise error

    monkeypatch.setattr("hmnpack.sources.folder.decode_source", fail)
    given = SourceOptions(size=size, cache_dir=options.cache_dir)
    expected = type(error) if isinstance(error, KeyError) else BadData
    with pytest.raises(expected) as caught:
        open_source(make_folder(train={"cat": 1}), given)
    if expected is BadData:
        assert str(caught.value).endswith(f"such as --size {advised}")
