"""Every writer, read back by the tool that its format is for."""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hmnpack
from hmnpack.bundle.pictures import to_uint8
from hmnpack.errors import BadSettings, MissingExtra, OutputExists
from hmnpack.registry import WRITERS
from hmnpack.sources import SourceOptions
from hmnpack.sources.types import split_of
from hmnpack.writers.folder import folder_names

FILES = {"sheet": "a.png", "tar": "a.tar", "parquet": "a.parquet", "npz": "a.npz"}


def expected(bundle):
    """Decoded images as an array [N, H, W, C], and labels."""
    images, labels = hmnpack.load(bundle).tensors()
    array = images.clamp(0, 1).numpy().transpose(0, 2, 3, 1)
    return np.rint(array * 255).astype(np.uint8), labels.tolist()


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_formats():
    assert sorted(WRITERS) == ["folder", "npz", "parquet", "sheet", "tar"]


def test_rounding_to_uint8():
    values = torch.tensor([-1.0, 0.0, 0.5 / 255, 1.5 / 255, 0.499, 1.0, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 0, 2, 127, 255, 255]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_npz_is_read_by_numpy(bundle_of, images, image_shape, tmp_path, channels):
    spec = images(classes=3, instances=(2, 4, 1), image=image_shape(channels, 2, 3))
    bundle = bundle_of(spec, classes=("ant", "bée", "<c>"))
    arrays, _ = expected(bundle)
    for count, rows in ((None, range(7)), (1, [0, 2, 6])):
        hmnpack.expand(bundle, tmp_path / "a.npz", format="npz", per_class=count, force=True)
        with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
            assert sorted(read) == ["classes", "train_images", "train_labels"]
            assert read["train_images"].dtype == np.uint8
            wanted = arrays[list(rows)]
            assert np.array_equal(read["train_images"], wanted[..., 0] if channels == 1 else wanted)
            assert read["train_labels"].tolist() == [[0, 0, 1, 1, 1, 1, 2][row] for row in rows]
            assert read["train_labels"].dtype == np.int64
            assert read["classes"].tolist() == ["ant", "bée", "<c>"]


@pytest.mark.parametrize("classes", [("ant", "bee"), ("dog", "cat"), ("Z", "a"), ("b", "<c>")])
def test_folder_is_read_by_image_folder(bundle_of, hmn, tmp_path, classes):
    from torchvision.datasets import ImageFolder

    bundle = bundle_of(hmn(), classes=classes)
    out = tmp_path / "images"
    assert hmnpack.expand(bundle, str(out)) == out
    read = ImageFolder(out)
    arrays, labels = expected(bundle)
    assert read.targets == labels
    assert all(np.array_equal(np.asarray(image), arrays[i]) for i, (image, _) in enumerate(read))
    index = json.loads((out / "classes.json").read_text())
    assert tuple(index["classes"]) == classes
    assert index["folders"] == read.classes
    if list(classes) == sorted(classes) and "<c>" not in classes:
        assert read.classes == list(classes)


def test_folder_names():
    assert folder_names(("ant", "bee")) == ("ant", "bee")
    assert folder_names(("bee", "ant")) == ("0-bee", "1-ant")
    assert folder_names(("a:b", "a?b")) == ("0-a_b", "1-a_b")
    assert folder_names(("nul", "x")) == ("nul_", "x")
    assert folder_names(("classes.json",)) == ("0-classes.json",)
    backwards = tuple(str(i) for i in range(11))
    assert folder_names(backwards)[9:] == ("09-9", "10-10")


def test_image_indices_have_leading_zeros(bundle_of, images, tmp_path):
    hmnpack.expand(bundle_of(images(instances=11)), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "ant").iterdir())
    assert names == [f"{i:02d}.png" for i in range(11)]


def test_folders_with_unequal_class_counts(bundle_of, images, tmp_path):
    bundle = bundle_of(images(classes=3, instances=(2, 11, 1)))
    arrays, _ = expected(bundle)
    for count, counts in ((None, [2, 11, 1]), (1, [1, 1, 1]), (5, [2, 5, 1])):
        out = tmp_path / f"out{count}"
        hmnpack.expand(bundle, out, per_class=count)
        found = [sorted((out / name).iterdir()) for name in ("ant", "bee", "cat")]
        assert [len(paths) for paths in found] == counts
        for paths, start in zip(found, (0, 2, 13), strict=True):
            for place, path in enumerate(paths):
                assert int(path.stem) == place
                assert np.array_equal(opened(path.read_bytes()), arrays[start + place, ..., 0])


def test_files_with_unequal_class_counts(bundle_of, images, tmp_path):
    bundle = bundle_of(images(classes=3, instances=(2, 11, 1)))
    hmnpack.expand(bundle, tmp_path / "a.tar", format="tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        labels = [
            int(tar.extractfile(name).read()) for name in tar.getnames() if name.endswith(".cls")
        ]
    assert labels == [0] * 2 + [1] * 11 + [2]
    hmnpack.expand(bundle, tmp_path / "a.png", format="sheet")
    sheet = opened((tmp_path / "a.png").read_bytes())
    rows = sheet[2:, 2:].reshape(3, -1, sheet.shape[1] - 2)
    for row, columns in zip(rows, (2, 10, 1), strict=True):
        assert (row[:, columns * 65 :] == 255).all()
        assert not (row[:, (columns - 1) * 65 : columns * 65] == 255).all()


def test_force_replaces_what_an_earlier_run_wrote(bundle_of, images, tmp_path):
    out = tmp_path / "out"
    hmnpack.expand(bundle_of(images(), classes=("ant", "eel")), out)
    out.chmod(0o750)
    with pytest.raises(OutputExists, match="not empty"):
        hmnpack.expand(bundle_of(images()), out)
    hmnpack.expand(bundle_of(images()), out, force=True, per_class=1)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert found == ["ant/0.png", "bee/0.png"]
    assert sorted(path.name for path in out.iterdir()) == ["ant", "bee", "classes.json"]
    assert out.stat().st_mode & 0o777 == 0o750


def test_empty_folder_is_accepted(images_bundle, tmp_path):
    (tmp_path / "out").mkdir()
    hmnpack.expand(images_bundle, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_sheet_layout(bundle_of, hmn, tmp_path):
    bundle = bundle_of(hmn())
    hmnpack.expand(bundle, tmp_path / "a.png", format="sheet")
    arrays, _ = expected(bundle)
    sheet = opened((tmp_path / "a.png").read_bytes())
    assert sheet.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    # Each pixel becomes a square of four by four.
    assert np.array_equal(sheet[68:132:4, 134:198:4], arrays[5])
    assert np.array_equal(sheet[71:132:4, 137:198:4], arrays[5])
    assert (sheet[66:68] == 255).all()


def test_sheet_has_ten_columns_or_per_class(bundle_of, images, tmp_path):
    bundle = bundle_of(images(instances=12))
    for count, columns in ((None, 10), (12, 12), (1, 1)):
        path = tmp_path / "a.png"
        hmnpack.expand(bundle, path, format="sheet", per_class=count, force=True)
        assert opened(path.read_bytes()).shape == (2 * (2 * 21 + 2) + 2, columns * 65 + 2)


def test_sheet_that_is_too_large_is_rejected(bundle_of, images, tmp_path):
    bundle = bundle_of(images(instances=40_000))
    with pytest.raises(BadSettings, match="too large; choose a smaller per_class"):
        hmnpack.expand(bundle, tmp_path / "a.png", format="sheet", per_class=40_000)


def test_tar_contents(hmn_bundle, tmp_path):
    path = hmnpack.expand(hmn_bundle, tmp_path / "a.tar", format="tar")
    arrays, labels = expected(hmn_bundle)
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert [m.name for m in members[:4]] == [
            "000000.cls",
            "000000.png",
            "000001.cls",
            "000001.png",
        ]
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o644)}
        assert [int(tar.extractfile(m).read()) for m in members[::2]] == labels
        found = [opened(tar.extractfile(m).read()) for m in members[1::2]]
    assert np.array_equal(np.stack(found), arrays)


def test_parquet_follows_the_hugging_face_convention(hmn_bundle, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("hmnpack.writers.parquet.ROW_GROUP", 4)
    path = hmnpack.expand(hmn_bundle, tmp_path / "a.parquet", format="parquet")
    table = parquet.read_table(path)
    arrays, labels = expected(hmn_bundle)
    assert table["label"].to_pylist() == labels
    found = [opened(row["bytes"]) for row in table["image"].to_pylist()]
    assert np.array_equal(np.stack(found), arrays)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"_type": "ClassLabel", "names": ["ant", "bee"]}
    assert features["image"] == {"_type": "Image"}


def test_parquet_is_readable_as_a_source(hmn_bundle, tmp_path):
    pytest.importorskip("pyarrow")
    path = hmnpack.expand(hmn_bundle, tmp_path / "train.parquet", format="parquet")
    options = SourceOptions(cache_dir=tmp_path / "cache")
    source = hmnpack.open_source(str(path), options)
    arrays, labels = expected(hmn_bundle)
    assert source.classes == ("ant", "bee")
    expected_split = split_of(torch.from_numpy(arrays).permute(0, 3, 1, 2), torch.tensor(labels))
    assert source.train.fingerprint == expected_split.fingerprint
    assert torch.equal(source.train.images, expected_split.images)
    assert source.train.labels.tolist() == labels


def test_parquet_without_pyarrow(images_bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[parquet\]'"):
        hmnpack.expand(images_bundle, tmp_path / "a.parquet", format="parquet")


@pytest.mark.parametrize("format", FILES)
def test_output_is_reproducible(hmn_bundle, tmp_path, format):
    path = tmp_path / FILES[format]
    hmnpack.expand(hmn_bundle, path, format=format)
    data = path.read_bytes()
    with pytest.raises(OutputExists, match="exists"):
        hmnpack.expand(hmn_bundle, path, format=format)
    hmnpack.expand(hmn_bundle, path, format=format, force=True)
    assert path.read_bytes() == data
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_bundle_is_not_overwritten_by_its_images(hmn_bundle, tmp_path):
    """Under any name: a bundle is recognised by its content."""
    path = tmp_path / "a.png"
    hmn_bundle.save(path)
    before = path.read_bytes()
    with pytest.raises(OutputExists, match="is the bundle itself; name another file"):
        hmnpack.expand(path, tmp_path / "." / "a.png", format="sheet", force=True)
    assert path.read_bytes() == before


def test_invalid_arguments_are_rejected(bundle_of, images, image_shape, images_bundle, tmp_path):
    with pytest.raises(BadSettings, match="unknown format 'sheets'; did you mean sheet"):
        hmnpack.expand(images_bundle, tmp_path / "a", format="sheets")
    with pytest.raises(BadSettings, match=r"writes one file; name it a\.tar"):
        hmnpack.expand(images_bundle, tmp_path / "a", format="tar")
    with pytest.raises(BadSettings, match="per_class is 9"):
        hmnpack.expand(images_bundle, tmp_path / "a", per_class=9)
    with pytest.raises(BadSettings, match=r"the folder .* does not exist; create it"):
        hmnpack.expand(images_bundle, tmp_path / "none" / "a")
    with pytest.raises(BadSettings, match="cannot write images with 5 channels as PNG"):
        hmnpack.expand(bundle_of(images(image=image_shape(5, 2, 2))), tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(OutputExists, match="is a file; name a folder"):
        hmnpack.expand(images_bundle, tmp_path / "file", force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_file_put_into_the_old_folder_meanwhile_is_not_removed(
    bundle_of, images, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    bundle = bundle_of(images(), classes=("ant", "eel"))
    hmnpack.expand(bundle, out)
    rename = Path.rename

    def rename_late(path, target):
        if path == out:
            (out / "ant" / "notes.txt").write_text("mine")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    with pytest.raises(OutputExists, match=r"has 'ant/notes.txt', which hmnpack did not write"):
        hmnpack.expand(bundle, out, force=True, per_class=1)
    assert (out / "ant" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_move_restores_the_old_folder(bundle_of, images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    hmnpack.expand(bundle_of(images(), classes=("ant", "eel")), out)
    for name in ("mine", "notes", "zebra"):
        (out / name).mkdir()
    before = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    moves, rename = [], Path.rename

    def fails(path, target):
        moves.append(path.name)
        if len(moves) == 4:  # the old folder, the new one, and one entry were moved
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(BadSettings, match="Permission denied"):
        hmnpack.expand(bundle_of(images()), out, force=True, per_class=1)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
