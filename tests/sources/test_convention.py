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
        ("dev-00000-of-00001", "dev"),
        ("eval", "eval"),
        ("latest", None),
        ("0000", None),
    ],
)
def test_split_in_name_matches_whole_words(name, split):
    assert convention.split_in_name(name) == split


def test_test_split_is_chosen_by_preference():
    def choose(splits):
        return convention.choose_test_split("x", splits, lambda name: None)

    assert choose(["train", "validation", "test"]) == "test"
    assert choose(["val", "valid"]) == "valid"
    assert choose(["eval", "dev"]) == "dev"
    assert choose(["train", "extra"]) is None


def test_unusable_test_splits_are_left_out_with_a_warning(caplog):
    reasons = {"test": "it is empty", "valid": None}
    chosen = convention.choose_test_split("x", ["test", "valid", "val"], reasons.get)
    assert chosen == "valid"
    assert caplog.messages == ["x: split test is left out: it is empty"]
    assert convention.choose_test_split("x", ["test"], reasons.get) is None


def test_unknown_splits_are_named_in_one_warning(caplog):
    convention.warn_of_unknown_splits("x", [])
    assert not caplog.messages
    convention.warn_of_unknown_splits("x", ["unsupervised", "extra"])
    assert caplog.messages == [
        "x: left out extra, unsupervised: the splits that are read are train, test, validation, "
        "valid, val, dev, eval"
    ]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "it has no images"),
        ([None, None], "it has no labels"),
        ([-1, None, -1], "it has no labels"),
        ([-1, 0], None),
        ([None, 3], None),
        (["cat", None], "its labels are not integers"),
        ([0.5], "its labels are not integers"),
        ([True], "its labels are not integers"),
    ],
)
def test_why_unlabelled_tells_the_reason(labels, reason):
    assert convention.why_unlabelled(labels) == reason


def test_column_of_finds_a_column_by_name():
    assert convention.column_of("x", ["label", "image"], ("img", "image")) == "image"
    with pytest.raises(BadData, match="x has no column img or image: its columns are a, b"):
        convention.column_of("x", ["a", "b"], ("img", "image"))


def test_column_of_other_names_is_the_only_described_one():
    wanted = ("label", "fine_label")
    assert convention.column_of("x", ["a", "b"], wanted, ["b"]) == "b"
    assert convention.column_of("x", ["b", "label"], wanted, ["b"]) == "label"
    message = "x has no column label or fine_label: its columns are a, b; choose one with --label"
    with pytest.raises(BadData, match=message):
        convention.column_of("x", ["a", "b", "c"], wanted, ["a", "b"], option="--label-column")


def test_described_as_reads_json_and_objects():
    class ClassLabel:  # the library's classes have the name as a class attribute
        _type = "ClassLabel"

    features = {"a": {"_type": "Image"}, "b": {"dtype": "int64"}, "c": ClassLabel(), "d": [1]}
    assert convention.described_as("Image", features) == ["a"]
    assert convention.described_as("ClassLabel", features) == ["c"]


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
    with pytest.raises(BadData, match=f"the highest label is {2**60} with only 2 images"):
        convention.class_names(None, torch.tensor([0, 2**60]))
