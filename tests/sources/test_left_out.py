"""Files of a folder that are left out: each is counted, and images are not lost in silence."""

import io
import re
from collections import Counter

import pytest
import torch
from PIL import Image, features

import hmnpack
from hmnpack.errors import BadData
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.skipped import skipped_in_words
from hmnpack.sources import open_source
from hmnpack.sources.formats import formats, suffixes
from hmnpack.sources.listing import is_litter, recordable


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.heic", "heic"),
        ("x.HEIC", "heic"),
        ("x.jp2", "jp2"),
        ("x.tga", "tga"),
        ("x.png.txt", "txt"),
        ("x", "no-suffix"),
        ("x.", "no-suffix"),
        ("x.7z", "other"),
        ("x.ünï", "other"),
        ("x.unreadable", "other"),
        ("x.litter", "other"),
        ("x." + "y" * 41, "other"),
        (".hidden.png", "litter"),
        ("Thumbs.db", "litter"),
        ("desktop.ini", "litter"),
        ("._x.jpg", "litter"),
        ("~$x.png", "litter"),
        ("SYNOFILE_THUMB_M.jpg", "litter"),
    ],
)
def test_every_file_that_is_not_read_is_counted_by_kind(make_folder, options, name, reason):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1})
    for folder in ("train/a", "train/b", "test/a"):
        (root / folder / name).write_bytes(b"anything")
    source = open_source(root, options)
    assert source.skipped == {reason: 3}
    assert torch.bincount(source.train.labels).tolist() == [2, 2]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "__MACOSX", ".thumbnails", "#recycle", "$RECYCLE.BIN", "lost+found", "@Recycle"],
)
def test_folders_of_servers_and_archivers_are_no_classes_and_no_images(
    make_folder, options, image_of, name
):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1})
    for place in ("train", "train/a", "test"):
        (root / place / name).mkdir()
        image_of().save(root / place / name / "x.png")
    source = open_source(root, options)
    assert (source.classes, source.skipped) == (("a", "b"), {"litter": 3})
    assert (len(source.train), len(source.test)) == (4, 1)


@pytest.mark.parametrize("name", ["eadir", "macosx", "recycle", "syno", "@cat", "#1", "~"])
def test_usual_class_names_are_not_litter(name):
    assert not is_litter(name)


def test_files_beside_the_class_folders_are_counted(make_folder, options, image_of):
    root = make_folder(train={"a": 2, "b": 2})
    image_of().save(root / "train/lost.png")
    (root / "train/README.txt").write_text("?")
    assert open_source(root, options).skipped == {"outside": 2}


def test_class_that_is_empty_because_of_what_is_left_out_says_so(make_folder, options):
    root = make_folder(train={"a": 2, "b": 3})
    for path in (root / "train/b").iterdir():
        path.rename(path.with_suffix(".heic" if path.stem != "000" else ".jxl"))
    match = re.escape(
        "class 'b' has no images in train that can be read, but 2 .heic files, 1 .jxl file: "
        "convert them"
    )
    with pytest.raises(BadData, match=match):
        open_source(root, options)


def test_counts_stay_the_same_when_the_pixels_come_from_the_cache(make_folder, options):
    root = make_folder(train={"a": 2, "b": 2})
    (root / "train/a/x.tga").write_bytes(b"?")
    first = open_source(root, options).skipped
    (root / "train/b/y.jp2").write_bytes(b"?")
    assert (first, open_source(root, options).skipped) == ({"tga": 1}, {"jp2": 1, "tga": 1})


@pytest.mark.parametrize("kinds", [1, 15, 16, 17, 40])
def test_counts_fit_into_a_manifest_and_keep_their_sum(kinds):
    counts = Counter({f"k{n}": n + 1 for n in range(kinds)}) + Counter(unreadable=1)
    kept = recordable(counts)
    facts = SourceFacts(
        name="x", fingerprint="0" * 64, train_images=1, held_out=0, skipped=dict(kept)
    )
    assert sum(facts.skipped.values()) == counts.total()
    assert facts.skipped["unreadable"] == 1
    assert ("other" in kept) == (kinds > 14)


@pytest.mark.parametrize(
    ("reason", "number", "said"),
    [
        ("heic", 1, "1 .heic file"),
        ("heic", 4000, "4,000 .heic files"),
        ("unreadable", 1, "1 unreadable image"),
        ("litter", 2, "2 hidden or system files and folders"),
        ("no-suffix", 3, "3 files without a suffix"),
        ("outside", 1, "1 file outside the class folders"),
    ],
)
def test_reasons_in_words(reason, number, said):
    assert skipped_in_words(reason, number) == said


def test_what_is_left_out_is_recorded_in_the_file(make_folder, options, monkeypatch):
    monkeypatch.setenv("HMNPACK_CACHE", str(options.cache_dir))
    root = make_folder(train={"a": 2, "b": 2})
    for name in ("a/x.tga", "b/.hidden"):
        (root / "train" / name).write_bytes(b"?")
    bundle = hmnpack.pack(torch.zeros(2, 3, 4, 6), [0, 1], ipc=1, data=root)
    assert bundle.manifest.source.skipped == {"litter": 1, "tga": 1}


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_avif_is_read_like_pillow(make_folder, options, image_of):
    root = make_folder(train={"a": 1, "b": 1})
    for label, name in enumerate("ab"):
        (root / "train" / name / "000.png").unlink()
        image_of(label, size=(32, 32)).save(root / "train" / name / "x.AVIF", "AVIF")
    source = open_source(root, options)
    assert source.skipped == {}
    for image, name in zip(source.train.images, "ab", strict=True):
        expected = Image.open(root / "train" / name / "x.AVIF").convert("RGB")
        assert image.permute(1, 2, 0).numpy().tobytes() == expected.tobytes()


def test_heif_is_read_once_a_plugin_is_registered(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    assert "HEIF" not in formats()
    assert ".heic" not in suffixes()
    monkeypatch.setitem(Image.OPEN, "HEIF", (Image.Image, None))
    assert "HEIF" in formats()
    assert {".heic", ".heif", ".hif"} <= suffixes()


def test_avif_without_support_is_left_out(make_folder, options, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.formats._has_avif", lambda: False)
    root = make_folder(train={"a": 2, "b": 2})
    (root / "train/a/x.avif").write_bytes(io.BytesIO().getvalue())
    assert open_source(root, options).skipped == {"avif": 1}
