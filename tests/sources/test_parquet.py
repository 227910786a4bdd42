import os
import re
import sys

import pytest

from hmnpack.errors import BadData, BadImage, MissingExtra
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.shards import parquet_files


@pytest.fixture
def payloads(image_of, encode):
    return [encode(image_of(seed)) for seed in range(5)]


def assert_rejected(path, options, message, kind=BadData):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        open_source(str(path), options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image", ["img", "image"])
@pytest.mark.parametrize("label", ["label", "fine_label"])
def test_folder_in_the_convention_is_opened(
    tmp_path, make_parquet, payloads, options, image, label
):
    columns = {"names": ["eel", "ant"], "image": image, "label": label}
    make_parquet(tmp_path / "set" / "train.parquet", payloads[:3], [1, 0, 1], **columns)
    make_parquet(tmp_path / "set" / "test.parquet", payloads[3:], [0, 0], **columns)
    source = open_source(str(tmp_path / "set"), options)
    assert (source.name, source.classes) == ("set", ("eel", "ant"))
    assert source.train.labels.tolist() == [0, 1, 1]
    assert source.test.labels.tolist() == [0, 0]
    assert source.train.images.shape == (3, 3, 4, 6)


def test_files_of_a_hub_repository_are_opened_in_order(tmp_path, make_parquet, payloads, options):
    data = tmp_path / "set" / "data"
    make_parquet(data / "train-00001-of-00002.parquet", payloads[2:3], [2])
    make_parquet(data / "train-00000-of-00002.parquet", payloads[:2], [0, 1])
    make_parquet(data / "validation-00000-of-00001.parquet", payloads[3:4], [1])
    source = open_source(str(tmp_path / "set"), options)
    assert source.train.labels.tolist() == [0, 1, 2]
    assert source.classes == ("0", "1", "2")
    assert len(source.test) == 1


def test_test_is_preferred_to_validation(tmp_path, make_parquet, payloads, options):
    for name, count in (("train", 3), ("validation", 2), ("test", 1)):
        make_parquet(tmp_path / "set" / f"{name}.parquet", payloads[:count], [0] * count)
    assert len(open_source(str(tmp_path / "set"), options).test) == 1


def test_single_file_is_the_training_split(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "mine.parquet", payloads, [0, 1, 0, 1, 0])
    source = open_source(str(path), options)
    assert (source.name, len(source.train), source.test) == ("mine", 5, None)


def test_folder_without_a_training_split_is_rejected(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "set" / "test.parquet", payloads, [0] * 5)
    message = "has no training split: put train into the name of a file"
    assert_rejected(path.parent, options, message)
    make_parquet(tmp_path / "set" / "more.parquet", payloads, [0] * 5)
    assert_rejected(path.parent, options, message)


@pytest.mark.parametrize("labels", [["cat"] * 5, [0.5] * 5])
def test_labels_that_are_not_integers_are_rejected(
    tmp_path, make_parquet, payloads, options, labels
):
    path = make_parquet(tmp_path / "a.parquet", payloads, labels)
    kind = "string" if labels[0] == "cat" else "double"
    assert_rejected(path, options, f"labels in column 'label' of {path} are {kind}, not integers")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, None, 0, 1], "row 2 of"),
        ([0, 1, 2, 0, 1], "label 2 of train is not a class: labels range from 0 to 1"),
        ([0, 1, -1, 0, 1], "label -1 of train is not a class"),
        ([0] * 5, "class 'b' has no images in train"),
    ],
)
def test_labels_out_of_range_or_missing_are_rejected(
    tmp_path, make_parquet, payloads, options, labels, message
):
    path = make_parquet(tmp_path / "a.parquet", payloads, labels, ["a", "b"])
    assert_rejected(path, options, message)


def test_class_only_in_test_is_rejected(tmp_path, make_parquet, payloads, options):
    names = ["a", "b"]
    make_parquet(tmp_path / "set" / "train.parquet", payloads, [0] * 5, names)
    make_parquet(tmp_path / "set" / "test.parquet", payloads, [0, 1, 0, 0, 0], names)
    assert_rejected(tmp_path / "set", options, "class 'b' has no images in train")


def test_missing_column_is_rejected_with_the_present_ones(
    tmp_path, make_parquet, payloads, options
):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0] * 5, image="picture")
    assert_rejected(path, options, "has no column img or image: its columns are picture, label")


def test_file_without_rows_is_rejected(tmp_path, make_parquet, options):
    pyarrow = pytest.importorskip("pyarrow")
    path = make_parquet(tmp_path / "a.parquet", [], pyarrow.array([], pyarrow.int64()))
    assert_rejected(path, options, f"{path} has no images")


@pytest.mark.parametrize("cell", [1.5, [1, 2], {"height": 1}])
def test_images_that_are_not_bytes_are_rejected(tmp_path, options, cell):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"img": [cell], "label": [0]}), tmp_path / "a.parquet")
    message = "not struct<bytes: binary, path: string> or binary: give one image file a row"
    assert_rejected(tmp_path / "a.parquet", options, message)


def test_file_that_is_not_parquet_is_rejected(tmp_path, options):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but no more")
    assert_rejected(path, options, f"cannot read {path} (")


@pytest.mark.parametrize("bad", [b"\xff\xd8 cut", None])
def test_bad_image_is_named_by_row_and_file_or_skipped(
    tmp_path, make_parquet, payloads, options, bad
):
    data = tmp_path / "set"
    make_parquet(data / "train-0.parquet", payloads[:2], [0, 1])
    make_parquet(data / "train-1.parquet", [payloads[2], bad, payloads[3]], [0, 1, 0])
    assert_rejected(data, options, "cannot read row 1 of train-1.parquet", BadImage)
    source = open_source(str(data), SourceOptions(cache_dir=options.cache_dir, skip_bad=True))
    assert (source.skipped, source.train.labels.tolist()) == ({"unreadable": 1}, [0, 0, 0, 1])


def test_invalid_metadata_is_ignored(tmp_path, make_parquet, payloads, options):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 0, 1, 0])
    table = parquet.read_table(path).replace_schema_metadata({"huggingface": "{"})
    parquet.write_table(table, path)
    assert open_source(str(path), options).classes == ("0", "1")


def test_parquet_files_ignores_other_files_and_folders(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.parquet").touch()
    assert parquet_files(tmp_path) == []
    assert parquet_files(tmp_path / "train.txt") == []


def test_suffix_in_capitals_is_parquet(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "set" / "train.PARQUET", payloads, [0, 1, 0, 1, 0])
    for spec in (path, path.parent):
        assert len(open_source(spec, options).train) == 5


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch, options):
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[parquet\]'"):
        open_source(str(tmp_path / "a.parquet"), options)


@pytest.mark.parametrize("kind", ["string", "list"])
def test_text_instead_of_bytes_opens_no_local_file(tmp_path, payloads, options, kind):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    victim = tmp_path / "secret.png"
    victim.write_bytes(payloads[0])
    inner = pyarrow.string() if kind == "string" else pyarrow.list_(pyarrow.int64())
    image = pyarrow.struct([("bytes", inner), ("path", pyarrow.string())])
    cell = {"bytes": str(victim) if kind == "string" else [137, 80], "path": None}
    table = pyarrow.table({"img": pyarrow.array([cell], image), "label": [0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert_rejected(tmp_path / "a.parquet", options, "not struct<bytes: binary, path: string>")


def test_splits_with_different_classes_are_rejected(tmp_path, make_parquet, payloads, options):
    folder = tmp_path / "set"
    make_parquet(folder / "train.parquet", payloads[:2], [0, 1], ["a", "b"])
    make_parquet(folder / "test.parquet", payloads[2:4], [0, 1], ["b", "a"])
    assert_rejected(
        folder, options, f"label 0 is 'b' in {folder / 'test.parquet'} but 'a' in train"
    )
    make_parquet(folder / "test.parquet", payloads[2:4], [0, 1], ["a", "b", "c"])
    assert_rejected(folder, options, "label 2 is 'c' in")
    make_parquet(folder / "test.parquet", payloads[2:4], [0, 1])
    assert open_source(str(folder), options).classes == ("a", "b")


def test_non_text_classes_and_huge_labels_are_rejected(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "a.parquet", payloads[:2], [0, 1], [1, 2])
    assert_rejected(path, options, "class name 1 is not a string")
    pyarrow = pytest.importorskip("pyarrow")
    path = make_parquet(tmp_path / "b.parquet", payloads[:2], pyarrow.array([0, 2**63], "uint64"))
    assert_rejected(path, options, f"has label {2**63}, too large: number the classes from 0")


def test_hidden_files_and_folders_are_skipped(tmp_path, make_parquet, payloads, options):
    folder = tmp_path / "set"
    make_parquet(folder / "train.parquet", payloads[:3], [0, 1, 0])
    (folder / "._train.parquet").write_bytes(b"macOS")
    (folder / "test.parquet").mkdir()
    assert parquet_files(folder) == [folder / "train.parquet"]
    assert open_source(folder, options).test is None


def test_dangling_link_is_rejected(tmp_path, make_parquet, payloads, options):
    """A copy of a Hub repository contains links to files, which may be gone."""
    folder = tmp_path / "set"
    make_parquet(folder / "train-0.parquet", payloads[:3], [0, 1, 0])
    (folder / "train-1.parquet").symlink_to("gone")
    assert_rejected(folder, options, f"cannot read {folder / 'train-1.parquet'}")


def test_row_without_a_label_is_named_by_its_file(tmp_path, make_parquet, payloads, options):
    make_parquet(tmp_path / "set" / "train-0.parquet", payloads[:3], [0, 1, 0])
    make_parquet(tmp_path / "set" / "train-1.parquet", payloads[3:], [1, None])
    assert_rejected(tmp_path / "set", options, "row 1 of train-1.parquet has no label")


def test_file_name_that_is_not_utf8_is_rejected(tmp_path, make_parquet, payloads, options):
    folder = tmp_path / "set"
    make_parquet(folder / "train.parquet", payloads[:2], [0, 1])
    (folder / "train.parquet").rename(folder / os.fsdecode(b"train-\xe9.parquet"))
    with pytest.raises(BadData, match="its name is not UTF-8; rename it"):
        open_source(folder, options)
