"""Text lists that say which images are in which split."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hmnpack
from hmnpack.errors import BadData, BadSettings
from hmnpack.schema.manifest import TestSplit
from hmnpack.sources import as_recorded, open_source

TRAIN = "bee/000.png 1\nant/001.png 0\nant/000.png 0\n\nbee/001.png 1\n"
TEST = "./ant/003.png\r\nbee/003.png\r\n"


@pytest.fixture
def root(make_folder):
    """A folder of three class folders of four images."""
    return make_folder(train={"ant": 4, "bee": 4, "clutter": 4}) / "train"


@pytest.fixture
def listed(root, options):
    """Function that returns options with lists of these texts, written beside the data."""

    def make(**texts):
        for part, text in texts.items():
            (root.parent / f"{part}.txt").write_text(text)
        return replace(options, **{f"{part}_list": root.parent / f"{part}.txt" for part in texts})

    return make


def assert_rejected(root, options, message):
    with pytest.raises(BadData, match=re.escape(message)) as caught:
        open_source(root, options)
    assert "\n" not in str(caught.value)


def test_lists_divide_as_folders_would(root, listed, options):
    source = open_source(root, listed(train=TRAIN, test=TEST))
    assert source.classes == ("ant", "bee")
    assert source.skipped == {"unlisted": 6}
    assert (source.train_list, source.test_list) == ("../train.txt", "../test.txt")
    by_folders = root.parent / "divided"
    for split, text in (("train", TRAIN), ("test", TEST)):
        for line in text.split("\n"):
            name = line.strip().split(" ")[0]
            if name:
                copy = by_folders / split / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes((root / name).read_bytes())
    other = open_source(by_folders, options)
    assert source.train.fingerprint == other.train.fingerprint
    assert source.test.fingerprint == other.test.fingerprint


def test_one_list_leaves_the_rest_to_the_other(root, listed):
    tested = open_source(root, listed(test=TEST))
    assert (len(tested.train), len(tested.test), tested.skipped) == (10, 2, {})
    trained = open_source(root, listed(train=TRAIN))
    assert (len(trained.train), trained.test, trained.skipped) == (4, None, {"unlisted": 8})
    drawn = open_source(root, replace(listed(train=TRAIN), test_split=0.5))
    assert (len(drawn.train), len(drawn.test)) == (2, 2)


def test_an_image_that_moves_between_lists_is_not_taken_from_the_cache(root, listed):
    first = open_source(root, listed(train="ant/000.png\nant/001.png", test="ant/002.png"))
    again = open_source(root, listed(train="ant/000.png", test="ant/001.png\nant/002.png"))
    assert (len(first.train), len(again.train), len(again.test)) == (2, 1, 2)


def test_paths_may_have_spaces_and_end_in_numbers(root, listed):
    for name in ("my bee.png", "bee 7"):
        (root / "bee" / name).write_bytes((root / "bee/000.png").read_bytes())
    source = open_source(root, listed(train="bee/my bee.png 3\nbee/bee 7\nant/000.png\t12\n"))
    assert torch.bincount(source.train.labels).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("ant/000.png\nant/009.png", TEST, "line 2 of {}/train.txt lists {}/train/ant/009.png, wh"),
        ("ant/000.png\nant/000.png 1", TEST, "line 2 of {}/train.txt lists {}/train/ant/000.png a"),
        ("ant/003.png", TEST, "is in both lists (line 1 of {}/train.txt, line 1 of {}/test.txt)"),
        ("ant/000.png", TEST, "class 'bee' is in the list of test but has no image in train"),
        ("ant/000.png 1\nbee/000.png 1", TEST, "label 1 in {}/train.txt stands for 'ant' and for"),
        ("000.png", TEST, "line 1 of {}/train.txt is '000.png': give <class>/<image>"),
        ("../x/000.png", TEST, "is '../x/000.png': give <class>/<image>"),
        ("/ant/000.png", TEST, "is '/ant/000.png': give <class>/<image>"),
        ("\n\n", TEST, "the list {}/train.txt is empty"),
    ],
)
def test_bad_lists_are_rejected(root, listed, train, test, message):
    assert_rejected(root, listed(train=train, test=test), message.replace("{}", str(root.parent)))


def test_lists_that_cannot_be_read_are_rejected(root, options):
    missing = replace(options, train_list=root / "none.txt")
    assert_rejected(root, missing, f"cannot read the list {root}/none.txt (No such file")
    image = replace(options, train_list=root / "ant/000.png")
    assert_rejected(root, image, f"cannot read the list {root}/ant/000.png (it is not UTF-8)")


@pytest.mark.parametrize("folder", [".trash", "__MACOSX"])
def test_listed_images_in_no_class_folder_are_rejected(root, listed, folder):
    (root / folder).mkdir()
    (root / folder / "1.png").write_bytes((root / "bee/000.png").read_bytes())
    text = f"ant/000.png\n{folder}/1.png"
    assert_rejected(root, listed(train=text), f"lists {root}/{folder}/1.png, which is in no class")


def test_lists_that_leave_no_training_image_are_rejected(root, listed):
    every = "\n".join(f"{name}/00{i}.png" for name in ("ant", "bee", "clutter") for i in range(4))
    options = replace(listed(test=every), classes=("ant",))
    assert_rejected(root, options, "there are no training images")


def test_lists_that_are_no_regular_files_are_rejected(root, options, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), root):
        wrong = replace(options, test_list=path)
        assert_rejected(root, wrong, f"cannot read the list {path} (it is not a regular file)")


def test_recorded_lists_are_left_out_of_a_folder_of_splits(root, listed, options):
    source = open_source(root, listed(train=TRAIN, test=TEST))
    bundle = hmnpack.pack(torch.zeros(2, 3, 4, 6), [0, 1], ipc=1, data=source)
    recorded = as_recorded(bundle.manifest, options, root.parent)
    assert (recorded.train_list, recorded.test_list) == (None, None)


def test_lists_are_for_folders_of_class_folders(root, listed):
    lists = listed(train=TRAIN)
    assert_rejected(root.parent, lists, "is not a folder of class folders alone")
    with pytest.raises(BadSettings, match="digits is no folder of images"):
        open_source("digits", lists)


def test_none_is_drawn_beside_a_list_of_test(root, listed):
    with pytest.raises(BadSettings, match="train has a test split of its own"):
        open_source(root, replace(listed(test=TEST), test_split=TestSplit(part=0.5, seed=0)))


def test_file_records_where_the_lists_are(root, listed, options, tmp_path):
    source = open_source(root, listed(train=TRAIN, test=TEST))
    bundle = hmnpack.pack(torch.zeros(2, 3, 4, 6), [0, 1], ipc=1, data=source)
    moved = root.parent.rename(tmp_path / "moved") / "train"
    again = open_source(moved, as_recorded(bundle.manifest, options, moved))
    assert again.train.fingerprint == source.train.fingerprint
    assert again.test.fingerprint == source.test.fingerprint
    other = replace(options, test_list=moved.parent / "train.txt")
    assert as_recorded(bundle.manifest, other, moved).test_list == other.test_list
    assert as_recorded(bundle.manifest, options, "digits").train_list is None
