import os
import re

import pytest
import torch

from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.cache import key_of_files, key_of_listing, through_cache
from hmnpack.sources.types import split_of


def make(_=None, test=True):
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4)
    split = split_of(images, torch.tensor([0, 1]))
    tested = split_of(images + 1, torch.tensor([1, 0])) if test else None
    return Source("made", ("a", "b/c"), split, tested, {"unreadable": 3})


def never(_=None):
    raise AssertionError("decoded again")


@pytest.mark.parametrize("test", [True, False])
def test_cached_dataset_is_returned_under_the_requested_name(options, test):
    made = through_cache("first", "key", options, lambda _: make(test=test))
    found = through_cache("second", "key", options, never)
    assert (made.name, found.name) == ("first", "second")
    assert (found.classes, found.skipped) == (("a", "b/c"), {"unreadable": 3})
    assert torch.equal(found.train.images, made.train.images)
    assert torch.equal(found.train.labels, made.train.labels)
    assert found.train.fingerprint == made.train.fingerprint
    assert (found.test is None) == (not test)
    assert len(list((options.cache_root / "decoded").iterdir())) == 1


def test_cache_key_includes_decoding_options(options):
    cache = options.cache_dir
    through_cache("a", "key", options, make)
    for key, other in (
        ("other", options),
        ("key", SourceOptions(size=8, cache_dir=cache)),
        ("key", SourceOptions(skip_bad=True, cache_dir=cache)),
    ):
        with pytest.raises(AssertionError, match="decoded again"):
            through_cache("a", key, other, never)
    through_cache("a", "key", SourceOptions(cache_dir=cache), never)


@pytest.mark.parametrize("file", ["facts.safetensors", "train.pixels", "test.pixels"])
@pytest.mark.parametrize("damage", [b"", b"\x08\0\0\0\0\0\0\0{}      ", None])
def test_damaged_entry_is_decoded_again(options, file, damage):
    through_cache("a", "key", options, make)
    (folder,) = (options.cache_root / "decoded").iterdir()
    path = folder / file
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    assert through_cache("a", "key", options, make).train.labels.tolist() == [0, 1]
    through_cache("a", "key", options, never)
    assert len(list((options.cache_root / "decoded").iterdir())) == 1


def test_cache_file_mode_follows_the_umask(options):
    before = os.umask(0o027)
    try:
        through_cache("a", "key", options, make)
    finally:
        os.umask(before)
    (folder,) = (options.cache_root / "decoded").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


def test_unwritable_cache_is_ignored(tmp_path):
    (tmp_path / "file").touch()
    options = SourceOptions(cache_dir=tmp_path / "file")
    assert through_cache("a", "key", options, make).name == "a"


def test_key_of_files_depends_on_names_and_contents(tmp_path):
    for name, data in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / "a", tmp_path / "b"]
    key = key_of_files(files)
    assert re.fullmatch("[0-9a-f]{64}", key)
    os.utime(files[0], (1, 1))
    assert key_of_files(files) == key
    assert key_of_files(files[:1]) != key
    files[0].write_bytes(b"3")
    assert key_of_files(files) != key


def test_key_of_listing_changes_when_files_are_swapped(tmp_path):
    """Files of the same size and time, as after unpacking an archive."""
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, (1, 1))
    files = [tmp_path / name for name in "ab"]
    key = key_of_listing(tmp_path, files)
    assert key_of_listing(tmp_path, files) == key
    for old, new in ("ac", "ba", "cb"):
        (tmp_path / old).rename(tmp_path / new)
    assert key_of_listing(tmp_path, files) != key


def test_key_of_listing_accepts_a_missing_file(tmp_path):
    """Decoding reports or skips it."""
    (tmp_path / "a").symlink_to("nowhere")
    assert key_of_listing(tmp_path, [tmp_path / "a"])


def test_key_of_listing_depends_on_paths_and_times(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.utime(path, (1, 1))
    key = key_of_listing(tmp_path, [path])
    path.write_bytes(b"2")
    assert key_of_listing(tmp_path, [path]) != key
    os.utime(path, (1, 1))
    assert (
        key_of_listing(tmp_path, [path]) != key
    )  # the contents differ, whatever the modification time
    assert key_of_listing(tmp_path, []) != key
