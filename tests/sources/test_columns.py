"""Columns of Parquet files that have other names, or hold paths instead of images."""

import re
from dataclasses import replace

import pytest
import torch

import hmnpack
from hmnpack.errors import BadData, BadImage, BadSettings
from hmnpack.sources import as_recorded, open_source

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CELL = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


@pytest.fixture
def payloads(image_of, encode):
    return [encode(image_of(seed)) for seed in range(4)]


def assert_rejected(path, options, message):
    with pytest.raises(BadData, match=re.escape(message)) as caught:
        open_source(path, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", ["labels", "coarse_label", "species", "class"])
@pytest.mark.parametrize("image", ["image", "photo"])
def test_only_described_column_is_read(tmp_path, make_parquet, payloads, options, label, image):
    columns = {"names": ["eel", "ant"], "image": image, "label": label}
    make_parquet(tmp_path / "set" / "train.parquet", payloads[:2], [1, 0], **columns)
    make_parquet(tmp_path / "set" / "test.parquet", payloads[2:], [1, 1], **columns)
    source = open_source(tmp_path / "set", options)
    assert (source.classes, source.train.labels.tolist()) == (("eel", "ant"), [0, 1])
    assert source.test.labels.tolist() == [1, 1]


def test_usual_name_is_preferred_to_a_described_column(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0], ["x", "y"], label="other")
    table = parquet.read_table(path).append_column("label", pyarrow.array([0, 1, 2, 2]))
    parquet.write_table(table, path)
    assert open_source(path, options).classes == ("0", "1", "2")


def test_several_described_columns_are_rejected(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0], ["x", "y"], label="kind")
    table = parquet.read_table(path)
    metadata = table.schema.metadata[b"huggingface"].replace(
        b'"kind"', b'"hue": {"_type": "ClassLabel", "names": ["x", "y"]}, "kind"'
    )
    table = table.append_column("hue", table["kind"])
    parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
    message = "has no column label or fine_label: its columns are hue, kind; choose one with"
    assert_rejected(path, options, message)
    for column in ("hue", "kind"):
        chosen = replace(options, label_column=column)
        assert open_source(path, chosen).classes == ("x", "y")


@pytest.mark.parametrize("other", ['[{"dtype": "string"}]', "null", '"text"', "{}"])
def test_features_of_other_columns_do_not_hide_the_class_names(
    tmp_path, make_parquet, payloads, options, other
):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0], ["x", "y"])
    table = parquet.read_table(path)
    old = table.schema.metadata[b"huggingface"].decode()
    new = old.replace('"features": {', f'"features": {{"tags": {other}, ')
    parquet.write_table(table.replace_schema_metadata({"huggingface": new}), path)
    assert open_source(path, options).classes == ("x", "y")


def test_described_column_that_is_gone_is_not_read(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0], ["x", "y"], label="kind")
    parquet.write_table(parquet.read_table(path).rename_columns(["image", "sort"]), path)
    assert_rejected(path, options, "has no column label or fine_label: its columns are image, sort")


@pytest.mark.parametrize("paths", [["a/1.png", "a/2.png"], [None, "b.jpg"], ["/data/x.png", None]])
def test_paths_alone_are_rejected_with_the_way_out(tmp_path, options, paths):
    cells = [{"bytes": None, "path": path} for path in paths]
    table = pyarrow.table({"image": pyarrow.array(cells, CELL), "label": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    first = next(path for path in paths if path)
    message = f"are paths only, such as {first!r}: embed the image files, such as with"
    assert_rejected(tmp_path / "a.parquet", options, message)


@pytest.mark.parametrize("kind", ["string", "large_string"])
def test_text_column_is_rejected_with_the_way_out(tmp_path, options, kind):
    images = pyarrow.array(["1.png", "2.png"], kind)
    parquet.write_table(pyarrow.table({"image": images, "label": [0, 1]}), tmp_path / "a.parquet")
    message = (
        f"are {kind}, not struct<bytes: binary, path: string> or binary: embed the image files"
    )
    assert_rejected(tmp_path / "a.parquet", options, message)


def test_later_file_of_paths_alone_is_named(tmp_path, make_parquet, payloads, options):
    make_parquet(tmp_path / "set" / "train-0.parquet", payloads, [0, 1, 1, 0])
    cells = pyarrow.array([{"bytes": None, "path": "5.png"}], CELL)
    second = tmp_path / "set" / "train-1.parquet"
    parquet.write_table(pyarrow.table({"image": cells, "label": [0]}), second)
    assert_rejected(tmp_path / "set", options, f"of {second} are paths only, such as '5.png'")


def test_one_path_among_images_is_a_bad_image(tmp_path, payloads, options):
    cells = [{"bytes": payloads[0], "path": "1.png"}, {"bytes": None, "path": "2.png"}]
    table = pyarrow.table({"image": pyarrow.array(cells, CELL), "label": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadImage, match="cannot read row 1"):
        open_source(tmp_path / "a.parquet", options)


def test_chosen_columns_are_read_and_cached_apart(tmp_path, make_parquet, payloads, options):
    path = make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0], image="photo")
    table = parquet.read_table(path).append_column("coarse", pyarrow.array([0, 0, 0, 0]))
    parquet.write_table(table, path)
    assert_rejected(path, options, "are photo, label, coarse; choose one with --image-column")
    fine = replace(options, image_column="photo")
    coarse = replace(fine, label_column="coarse")
    assert open_source(path, fine).train.labels.tolist() == [0, 0, 1, 1]
    assert open_source(path, coarse).train.labels.tolist() == [0, 0, 0, 0]
    missing = replace(fine, label_column="kind")
    message = "has no column kind: its columns are photo, label, coarse; choose one with --label-"
    assert_rejected(path, missing, message)


@pytest.mark.parametrize("column", [{"image_column": "photo"}, {"label_column": "kind"}])
def test_column_of_a_folder_of_images_is_rejected(make_folder, options, column):
    with pytest.raises(BadSettings, match="choose columns only of Parquet files and hub datasets"):
        open_source(make_folder(train={"a": 2}), replace(options, **column))


def test_chosen_columns_are_recorded_and_read_again(tmp_path, make_parquet, payloads, options):
    path = make_parquet(
        tmp_path / "a.parquet", payloads, [0, 1, 1, 0], image="photo", label="breed"
    )
    chosen = replace(options, image_column="photo", label_column="breed")
    source = open_source(path, chosen)
    bundle = hmnpack.pack(torch.zeros(2, 3, 4, 6), [0, 1], ipc=1, data=source)
    facts = hmnpack.inspect(bundle.to_bytes()).source
    assert (facts.image_column, facts.label_column) == ("photo", "breed")
    again = open_source(path, as_recorded(bundle.manifest, options, path))
    assert again.train.fingerprint == source.train.fingerprint
    assert as_recorded(bundle.manifest, options, "digits") == replace(options, test_split=0)


def test_columns_that_were_not_chosen_are_not_recorded(tmp_path, make_parquet, payloads, options):
    source = open_source(make_parquet(tmp_path / "a.parquet", payloads, [0, 1, 1, 0]), options)
    bundle = hmnpack.pack(torch.zeros(2, 3, 4, 6), [0, 1], ipc=1, data=source)
    assert not {"image_column", "label_column"} & set(bundle.manifest.document()["source"])


FORMS = {
    "binary": lambda cells: cells,
    "large": lambda cells: cells.cast(pyarrow.large_binary()),
    "view": lambda cells: cells.cast(pyarrow.binary_view()),
    "dictionary": lambda cells: cells.dictionary_encode(),
    "fixed": lambda cells: cells.cast(pyarrow.binary(len(cells[0].as_py()))),
}


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_bytes_are_read_in_every_form(tmp_path, make_parquet, payloads, options, form, bare):
    longest = max(map(len, payloads))
    padded = [payload.ljust(longest, b"\0") for payload in payloads]
    cells = FORMS[form](pyarrow.array(padded))
    if not bare:
        cells = pyarrow.StructArray.from_arrays(
            [cells, pyarrow.nulls(4, "string")], ["bytes", "path"]
        )
    table = pyarrow.table({"image": cells, "label": [0, 1, 1, 0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    usual = make_parquet(tmp_path / "usual.parquet", padded, [0, 1, 1, 0])
    ours, theirs = (open_source(tmp_path / name, options).train for name in ("a.parquet", usual))
    assert ours.fingerprint == theirs.fingerprint


@pytest.mark.parametrize("twin", ["image", "label"])
def test_two_columns_of_one_name_are_rejected(tmp_path, payloads, options, twin):
    columns = {"image": pyarrow.array(payloads), "label": pyarrow.array([0, 1, 1, 0])}
    table = pyarrow.table(columns).append_column(twin, columns[twin])
    parquet.write_table(table, tmp_path / "a.parquet")
    assert_rejected(tmp_path / "a.parquet", options, f"has 2 columns {twin!r}: rename all but one")
