"""Choice of the test split, by one rule for folders, parquet files and the Hub."""

from pathlib import Path

import pytest

from hmnpack.errors import BadData
from hmnpack.sources import open_source
from hmnpack.sources.convention import TEST_SPLITS


@pytest.fixture
def payloads(image_of, encode):
    return [encode(image_of(seed)) for seed in range(6)]


@pytest.fixture
def write(tmp_path, make_parquet, payloads):
    """Function that writes a parquet file for each split: split -> labels."""

    def make(**splits) -> Path:
        for name, labels in splits.items():
            path = tmp_path / "set" / f"{name}-00000-of-00001.parquet"
            make_parquet(path, payloads[: len(labels)], labels, ["a", "b"])
        return tmp_path / "set"

    return make


@pytest.fixture
def warnings_of(caplog, options):
    """Function that opens a dataset and returns (the test images, the warnings)."""

    def read(root: object) -> tuple[int | None, list[str]]:
        caplog.clear()
        test = open_source(root, options).test
        return (None if test is None else len(test)), list(caplog.messages)

    return read


@pytest.mark.parametrize("labels", [[-1, -1, -1], [None, None], [-1, None], []])
def test_unlabelled_parquet_split_is_left_out(write, warnings_of, labels):
    pyarrow = pytest.importorskip("pyarrow")
    root = write(train=[0, 1, 1], test=pyarrow.array(labels, "int64"), validation=[1, 0])
    reason = "it has no labels" if labels else "it has no images"
    assert warnings_of(root) == (2, [f"{root}: split test is left out: {reason}"])


def test_split_whose_labels_are_text_is_left_out(write, warnings_of):
    root = write(train=[0, 1, 1], test=["cat", "dog"], validation=[1, 0])
    assert warnings_of(root) == (
        2,
        [f"{root}: split test is left out: its labels are not integers"],
    )


def test_split_with_some_labels_is_not_left_out(write, options):
    with pytest.raises(BadData, match="label -1 of test is not a class"):
        open_source(write(train=[0, 1], test=[0, -1], validation=[1, 0]), options)


@pytest.mark.parametrize("missing", ["image", "label"])
def test_parquet_split_without_a_column_is_left_out(write, warnings_of, missing):
    parquet = pytest.importorskip("pyarrow.parquet")
    root = write(train=[0, 1, 1], test=[0, 1], dev=[1])
    path = root / "test-00000-of-00001.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns([missing]), path)
    assert warnings_of(root) == (1, [f"{root}: split test is left out: it has no column {missing}"])


def test_dataset_whose_only_test_split_is_unlabelled_has_none(write, warnings_of):
    count, warnings = warnings_of(write(train=[0, 1], test=[-1, -1]))
    assert count is None
    assert len(warnings) == 1


def test_every_unlabelled_split_is_left_out_in_order(write, warnings_of):
    count, warnings = warnings_of(write(train=[0, 1], test=[-1], validation=[None, -1], eval=[1]))
    assert count == 1
    assert [text.split(": ")[1] for text in warnings] == [
        "split test is left out",
        "split validation is left out",
    ]


def test_warning_is_repeated_when_the_cache_is_read(write, warnings_of):
    root = write(train=[0, 1], test=[-1], validation=[1])
    assert warnings_of(root) == warnings_of(root)


@pytest.mark.parametrize("name", ["extra", "unsupervised", "0000", "latest"])
def test_unknown_parquet_files_are_left_out(write, warnings_of, name):
    root = write(train=[0, 1], test=[0], **{name: [0, 1, 0]})
    count, [warning] = warnings_of(root)
    assert count == 1
    assert warning.startswith(f"{root}: left out {name}-00000-of-00001.parquet: the splits that")


@pytest.mark.parametrize("name", TEST_SPLITS)
def test_parquet_and_folders_have_the_same_split_names(write, make_folder, warnings_of, name):
    assert warnings_of(write(train=[0, 1, 1], **{name: [1, 0]})) == (2, [])
    assert warnings_of(make_folder(train={"a": 2}, **{name: {"a": 3}})) == (3, [])


def test_flat_test_folder_is_left_out(make_folder, image_of, warnings_of):
    root = make_folder(train={"a": 2, "b": 2}, val={"a": 1, "b": 2}, test={})
    (root / "test").mkdir()
    image_of().save(root / "test" / "1.png")
    reason = "it has no class folders"
    assert warnings_of(root) == (3, [f"{root}: split test is left out: {reason}"])


def test_test_folder_of_other_names_than_the_classes_is_left_out(make_folder, warnings_of):
    root = make_folder(train={"a": 2, "b": 2}, valid={"b": 2}, test={"unknown": 4})
    reason = "none of its folders is a class of train"
    assert warnings_of(root) == (2, [f"{root}: split test is left out: {reason}"])


def test_test_folder_without_images_is_left_out(make_folder, warnings_of):
    root = make_folder(train={"a": 2}, test={"a": 0}, val={"a": 1})
    assert warnings_of(root) == (1, [f"{root}: split test is left out: it has no images"])


def test_unknown_folders_are_left_out(make_folder, warnings_of):
    root = make_folder(train={"a": 2}, test={"a": 1}, extra={"a": 3}, devkit={})
    (root / ".git").mkdir()
    (root / "devkit").mkdir()
    count, [warning] = warnings_of(root)
    assert count == 1
    assert warning.startswith(f"{root}: left out devkit/, extra/: the splits that are read are")
