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
def test_a_split_is_a_whole_word_of_a_name(name, split):
    assert convention.split_in_name(name) == split


def test_the_split_to_test_on_is_the_first_that_exists():
    assert convention.test_split_of(["train", "validation", "test"]) == "test"
    assert convention.test_split_of(["val", "valid"]) == "valid"
    assert convention.test_split_of(["train", "extra"]) is None


def test_columns_are_found_by_name():
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
def test_labels_are_whole_and_integers(kind, values, message):
    with pytest.raises(BadData, match=re.escape(message)):
        convention.integer_labels("x", "y", kind, values, name="row {} of x".format)


def test_labels_are_64_bit():
    labels = convention.integer_labels("x", "y", "uint8", [1, 0], name=str)
    assert torch.equal(labels, torch.tensor([1, 0]))


def test_labels_without_names_are_their_own_names():
    assert convention.class_names(None, torch.tensor([2, 0, 1])) == ["0", "1", "2"]
    assert convention.class_names(("b", "a"), torch.tensor([0])) == ["b", "a"]


def test_an_absurd_label_is_refused_before_its_names_are_made():
    with pytest.raises(BadData, match=f"the highest label is {2**60} with 2 images in train"):
        convention.class_names(None, torch.tensor([0, 2**60]))
