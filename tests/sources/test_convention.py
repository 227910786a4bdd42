import re

import pytest
import torch

from hmnpack.errors import BadData
from hmnpack.sources import convention


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("train-00000-of-00002", "train"),
        ("cifar10_test_v2", "test"),
        ("Validation-0", "validation"),
        ("my.val", "val"),
        ("latest", None),
        ("0000", None),
    ],
)
def test_split_in_name_matches_whole_words(name, split):
    assert convention.split_in_name(name) == split


def test_test_split_is_chosen_by_preference():
    assert convention.test_split_of(["train", "validation", "test"]) == "test"
    assert convention.test_split_of(["val", "valid"]) == "valid"
    assert convention.test_split_of(["train", "extra"]) is None


def test_column_of_finds_a_column_by_name():
    assert convention.column_of("x", ["label", "image"], ("img", "image")) == "image"
    with pytest.raises(BadData, match="x has no column img or image: its columns are a, b"):
        convention.column_of("x", ["a", "b"], ("img", "image"))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("string", ["a"], "labels in column 'y' of x are string, not integers"),
        ("bool", [True], "labels in column 'y' of x are bool, not integers"),
        ("int64", [], "x has no images"),
        ("int64", [3, None], "row 1 of x has no label"),
    ],
)
def test_integer_labels_rejects_invalid_columns(kind, values, message):
    with pytest.raises(BadData, match=re.escape(message)):
        convention.integer_labels("x", "y", kind, values, name="row {} of x".format)


def test_integer_labels_are_int64():
    labels = convention.integer_labels("x", "y", "uint8", [1, 0], name=str)
    assert torch.equal(labels, torch.tensor([1, 0]))


def test_class_names_default_to_the_labels():
    assert convention.class_names(None, torch.tensor([2, 0, 1])) == ["0", "1", "2"]
    assert convention.class_names(("b", "a"), torch.tensor([0])) == ["b", "a"]


def test_class_names_rejects_a_huge_label():
    with pytest.raises(BadData, match=f"the highest label is {2**60} with 2 images in train"):
        convention.class_names(None, torch.tensor([0, 2**60]))
