"""A test split that is drawn from the data."""

from dataclasses import replace

import pytest
import torch

import hmnpack
from hmnpack.errors import BadData, BadSettings
from hmnpack.schema.manifest import TestSplit
from hmnpack.sources import SourceOptions, as_recorded, open_source


def digests(split):
    return {row.tobytes() for row in split.digests.numpy()}


@pytest.fixture
def classes(make_folder):
    """A folder of class folders: 20, 10 and 9 images."""
    return make_folder(train={"ant": 20, "bee": 10, "cat": 9}) / "train"


def test_folder_of_class_folders_has_a_tenth_drawn(classes, options):
    source = open_source(classes, options)
    assert source.classes == ("ant", "bee", "cat")
    assert source.test_split == TestSplit(part=0.1, seed=0)
    assert torch.bincount(source.test.labels).tolist() == [2, 1]
    assert torch.bincount(source.train.labels).tolist() == [18, 9, 9]
    assert not digests(source.train) & digests(source.test)


def test_the_same_images_are_drawn_however_they_are_stored(classes, options):
    plain = open_source(classes, options)
    for path in sorted(classes.glob("*/*.png")):
        path.rename(path.with_name(f"{999 - int(path.stem)}.png"))
    renamed = open_source(classes, options)
    below_train = open_source(classes.parent, replace(options, test_split=0.1))
    for other in (renamed, below_train):
        assert other.test.fingerprint == plain.test.fingerprint
        assert other.train.fingerprint == plain.train.fingerprint


def test_another_seed_draws_other_images(classes, options):
    drawn = [
        open_source(classes, replace(options, test_split=TestSplit(part=0.5, seed=seed))).test
        for seed in (0, 1)
    ]
    assert len(drawn[0]) == len(drawn[1]) == 19
    assert digests(drawn[0]) != digests(drawn[1])


def test_0_draws_nothing(classes, options):
    source = open_source(classes, replace(options, test_split=0))
    assert (source.test, source.test_split, len(source.train)) == (None, None, 39)


def test_classes_of_fewer_than_ten_images_have_no_test_split_unless_asked(make_folder, options):
    root = make_folder(train={"ant": 9, "bee": 2}) / "train"
    source = open_source(root, options)
    assert (source.test, source.test_split, len(source.train)) == (None, None, 11)
    assert len(open_source(root, replace(options, test_split=0.5)).test) == 5
    with pytest.raises(BadData, match=r"enough images to draw 10 % of them: choose a larger part"):
        open_source(root, replace(options, test_split=0.1))


def test_none_is_drawn_from_data_with_a_test_split(make_folder, options):
    root = make_folder(train={"ant": 9}, test={"ant": 2})
    with pytest.raises(BadSettings, match="pets has a test split of its own"):
        open_source(root, replace(options, test_split=0.5))
    assert len(open_source(root, replace(options, test_split=0)).test) == 2


@pytest.mark.parametrize("part", [-0.1, 1, float("nan")])
def test_part_is_a_fraction(part):
    with pytest.raises(BadSettings, match="it must be a fraction from 0 to below 1"):
        SourceOptions(test_split=part)


@pytest.mark.parametrize("given", [None, 0, 0.3, TestSplit(part=0.3, seed=8)])
def test_file_records_what_reads_the_same_images_again(classes, options, given):
    source = open_source(classes, replace(options, test_split=given))
    bundle = hmnpack.pack(torch.zeros(3, 3, 4, 6), [0, 1, 2], ipc=1, data=source)
    assert hmnpack.inspect(bundle.to_bytes()).source.test_split == source.test_split
    again = open_source(classes, as_recorded(bundle.manifest, options, classes))
    assert again.train.fingerprint == source.train.fingerprint
    assert again.test_split == source.test_split
