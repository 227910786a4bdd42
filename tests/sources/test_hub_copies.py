"""Copies of Hub repositories, whose Parquet files are in folders."""

import re

import pytest

from hmnpack.errors import BadData
from hmnpack.sources import open_source
from hmnpack.sources.shards import parquet_files, parquet_splits


@pytest.fixture
def copy(tmp_path, make_parquet, image_of, encode):
    """Function that writes Parquet files of two images, by path relative to the dataset."""

    def make(*names):
        for name in names:
            cells = [encode(image_of(len(name))), encode(image_of(100 + len(name)))]
            make_parquet(tmp_path / "set" / name, cells, [0, 1], ["a", "b"])
        return tmp_path / "set"

    return make


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("cifar10/train-00000-of-00001.parquet", "cifar10/test-00000-of-00001.parquet"),
        ("main/train/0000.parquet", "main/validation/0000.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
        ("data/train/part-0.parquet", "data/dev/part-0.parquet"),
        ("default/partial-train/0000.parquet", "default/partial-test/0000.parquet"),
    ],
)
def test_hub_copy_in_folders_is_opened(copy, options, train, test):
    root = copy(train, test)
    source = open_source(root, options)
    assert (source.name, source.classes) == ("set", ("a", "b"))
    assert (len(source.train), len(source.test)) == (2, 2)
    assert parquet_splits(root)["train"] == [root / train]


def test_hub_copy_of_one_configuration_is_opened_by_its_folder(copy, options):
    root = copy("a/train/0000.parquet", "a/train/0001.parquet", "a/test/0000.parquet")
    source = open_source(root / "a", options)
    assert (len(source.train), len(source.test)) == (4, 2)


def test_hub_copy_of_several_configurations_is_rejected(copy, options):
    root = copy("large/train/0000.parquet", "small/train/0000.parquet")
    with pytest.raises(BadData, match=r"several datasets \(large, small\): give the folder of one"):
        open_source(root, options)
    assert len(open_source(root / "small", options).train) == 2


def test_folder_of_the_training_split_alone_is_rejected(copy, options):
    root = copy("default/train/0000.parquet", "default/test/0000.parquet") / "default" / "train"
    message = f"{root} has no training split: put train into the name of a file, or give the folder"
    with pytest.raises(BadData, match=re.escape(message)):
        open_source(root, options)


def test_unknown_split_folder_is_left_out(copy, options, caplog):
    root = copy("default/train/0000.parquet", "default/extra/0000.parquet")
    assert len(open_source(root, options).train) == 2
    assert caplog.messages[0].startswith(f"{root}: left out default/extra/0000.parquet: the splits")


def test_hidden_folders_of_a_hub_copy_are_skipped(copy):
    root = copy("plain/train-0.parquet", ".cache/train-0.parquet", "plain/.old/train-0.parquet")
    assert parquet_files(root) == [root / "plain/train-0.parquet"]


def test_tables_beside_image_folders_are_no_dataset(make_folder, options, make_parquet):
    root = make_folder(train={"cat": 2}, test={"cat": 1})
    for name in ("features/train.parquet", "train/metadata.parquet", "train/cat/0.parquet"):
        make_parquet(root / name, [b"x"], [0])
    assert parquet_files(root) == []
    assert len(open_source(root, options).train) == 2


def test_rows_of_hub_copies_are_named_with_their_folder(copy, options, make_parquet):
    root = copy("train/0000.parquet", "test/0000.parquet")
    make_parquet(root / "test/0000.parquet", [b"none"], [0], ["a", "b"])
    with pytest.raises(BadData, match=r"cannot read row 0 of test/0000\.parquet"):
        open_source(root, options)
