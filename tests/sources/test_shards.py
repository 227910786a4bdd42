"""Datasets of several parquet files: what must be the same in all files of a dataset."""

import re

import pytest

from hmnpack.errors import BadData, BadImage
from hmnpack.sources import open_source

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def payloads(image_of, encode):
    return [encode(image_of(seed)) for seed in range(6)]


@pytest.fixture
def pair(tmp_path, make_parquet, payloads):
    """Function that writes two training files, each with its own class names and labels."""

    def make(first, second, labels=([0, 1, 1], [1, 0, 0])):
        folder = tmp_path / "set"
        make_parquet(folder / "train-0.parquet", payloads[:3], labels[0], first)
        make_parquet(folder / "train-1.parquet", payloads[3:], labels[1], second)
        return folder

    return make


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["eel", "ant"], ["ant", "eel"], "label 0 is 'ant' in {b} but 'eel' in {a}"),
        (["eel", "ant"], ["eel", "ants"], "label 1 is 'ants' in {b} but 'ant' in {a}"),
        (["eel", "ant"], ["eel", "ant", "fly"], "label 2 is 'fly' in {b} but None in {a}"),
        (["eel", "ant", "fly"], ["eel", "ant"], "label 2 is None in {b} but 'fly' in {a}"),
    ],
)
def test_files_that_number_classes_differently_are_rejected(pair, options, first, second, message):
    folder = pair(first, second)
    text = message.format(a=folder / "train-0.parquet", b=folder / "train-1.parquet")
    with pytest.raises(BadData, match=re.escape(text)):
        open_source(folder, options)


def test_test_files_that_number_classes_differently_are_rejected(
    tmp_path, make_parquet, payloads, options
):
    folder = tmp_path / "set"
    make_parquet(folder / "train.parquet", payloads[:2], [0, 1], ["eel", "ant"])
    make_parquet(folder / "test-0.parquet", payloads[2:4], [0, 1], ["eel", "ant"])
    make_parquet(folder / "test-1.parquet", payloads[4:], [0, 1], ["ant", "eel"])
    with pytest.raises(BadData, match=r"label 0 is 'ant' in .*test-1.parquet but 'eel' in"):
        open_source(folder, options)


def test_different_numbering_is_rejected_despite_the_cache(pair, options, make_parquet, payloads):
    """The check does not depend on what was decoded before."""
    open_source(pair(["eel", "ant"], ["eel", "ant"]), options)
    with pytest.raises(BadData, match="label 0 is"):
        open_source(pair(["eel", "ant"], ["ant", "eel"]), options)


@pytest.mark.parametrize("named", [0, 1])
def test_file_without_class_names_takes_those_of_the_others(pair, options, named):
    names = [None, None]
    names[named] = ["eel", "ant"]
    assert open_source(pair(*names), options).classes == ("eel", "ant")


@pytest.mark.parametrize("kinds", [("int64", "int32"), ("uint8", "int64"), ("int8", "uint64")])
def test_integer_types_may_differ_between_files(pair, options, kinds):
    arrays = [
        pyarrow.array(labels, kind)
        for labels, kind in zip(([0, 1, 1], [1, 0, 2]), kinds, strict=True)
    ]
    source = open_source(pair(["a", "b", "c"], ["a", "b", "c"], arrays), options)
    assert source.train.labels.tolist() == [0, 0, 1, 1, 1, 2]


def test_different_integer_types_give_the_dataset_of_equal_types(pair, options):
    same = open_source(pair(["a", "b"], ["a", "b"]), options)
    arrays = [[0, 1, 1], pyarrow.array([1, 0, 0], "int16")]
    other = open_source(pair(["a", "b"], ["a", "b"], arrays), options)
    assert other.train.fingerprint == same.train.fingerprint


@pytest.mark.parametrize("labels", [["1", "0", "0"], [1.0, 0.0, 0.0]])
def test_later_file_with_labels_that_are_not_integers_is_named(pair, options, labels):
    folder = pair(["a", "b"], ["a", "b"], ([0, 1, 1], labels))
    text = f"labels in column 'label' of {folder / 'train-1.parquet'} are"
    with pytest.raises(BadData, match=re.escape(text)):
        open_source(folder, options)


@pytest.mark.parametrize("column", [{"label": "fine_label"}, {"image": "img"}])
def test_later_file_with_another_column_is_named(tmp_path, make_parquet, payloads, options, column):
    folder = tmp_path / "set"
    make_parquet(folder / "train-0.parquet", payloads[:3], [0, 1, 1])
    make_parquet(folder / "train-1.parquet", payloads[3:], [0, 1, 1], **column)
    text = f"{folder / 'train-1.parquet'} has no column {next(iter(column))}"
    with pytest.raises(BadData, match=re.escape(text)):
        open_source(folder, options)


def test_binary_types_and_field_order_may_differ_between_files(pair, options, payloads):
    folder = pair(["a", "b"], ["a", "b"])
    same = open_source(folder, options)
    kind = pyarrow.struct([("path", pyarrow.string()), ("bytes", pyarrow.large_binary())])
    cells = [{"bytes": value, "path": None} for value in payloads[3:]]
    table = pyarrow.table({"label": [1, 0, 0], "image": pyarrow.array(cells, kind)})
    parquet.write_table(table, folder / "train-1.parquet")
    assert open_source(folder, options).train.fingerprint == same.train.fingerprint


def test_later_file_whose_images_are_not_bytes_is_named(pair, options):
    folder = pair(["a", "b"], ["a", "b"])
    table = pyarrow.table({"image": [0.5, 1.0, 0.0], "label": [1, 0, 0]})
    parquet.write_table(table, folder / "train-1.parquet")
    with pytest.raises(BadData, match=r"column 'image' of .*train-1.parquet are double"):
        open_source(folder, options)


def test_file_without_rows_beside_others_is_no_error(pair, options, make_parquet):
    folder = pair(["a", "b"], ["a", "b"])
    make_parquet(folder / "train-2.parquet", [], pyarrow.array([], pyarrow.null()))
    assert len(open_source(folder, options).train) == 6


def test_bad_image_of_a_later_file_is_named_by_its_row(pair, options, make_parquet, payloads):
    folder = pair(["a", "b"], ["a", "b"])
    make_parquet(folder / "train-1.parquet", [payloads[0], b"none"], [0, 1], ["a", "b"])
    with pytest.raises(BadImage, match=r"cannot read row 1 of train-1\.parquet"):
        open_source(folder, options)


@pytest.mark.parametrize("name", ["metadata.parquet", "captions.parquet", "data/labels.parquet"])
def test_table_beside_a_folder_of_images_does_not_hide_it(tmp_path, make_folder, options, name):
    root = make_folder(train={"ant": 2, "bee": 1})
    (root / name).parent.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.table({"file_name": ["0.png"], "text": ["an ant"]}), root / name)
    assert len(open_source(root, options).train) == 3
