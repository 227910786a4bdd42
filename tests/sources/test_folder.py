import os
import re
import shutil
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from hmnpack.errors import BadData, BadImage
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.types import split_of


def assert_rejected(root, options, message, kind=BadData):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        open_source(str(root), options)
    assert "\n" not in str(caught.value)


def test_folder_opens_like_torchvision(make_folder, options):
    root = make_folder(train={"dog": 3, "Zebra": 2, "cat": 2}, test={"cat": 1, "dog": 2})
    source = open_source(str(root), options)
    reference = ImageFolder(root / "train", transform=pil_to_tensor)
    assert source.name == "pets"
    assert list(source.classes) == reference.classes
    images = torch.stack([image for image, _ in reference])
    expected = split_of(images, torch.tensor(reference.targets))
    assert torch.equal(source.train.images, expected.images)
    assert source.train.labels.tolist() == reference.targets
    assert source.test.labels.tolist() == [1, 2, 2]
    assert source.skipped == {}


@pytest.mark.parametrize("name", ["test", "val", "validation", "valid", "dev", "eval"])
def test_folder_test_split_has_several_names(make_folder, options, name):
    root = make_folder(train={"a": 2}, **{name: {"a": 1}})
    assert len(open_source(str(root), options).test) == 1


def test_folder_without_test_split(make_folder, options):
    assert open_source(str(make_folder(train={"a": 2})), options).test is None


def test_folder_without_classes_is_rejected(make_folder, options):
    root = make_folder(train={})
    (root / "train").mkdir()
    assert_rejected(
        root, options, f"{root}/train has no classes: create a subfolder for each class"
    )


def test_empty_folder_is_rejected(tmp_path, options):
    root = tmp_path / "empty"
    root.mkdir()
    assert_rejected(
        root,
        options,
        f"{root} has no class folders: arrange the images in {root} as train/<class>/",
    )


@pytest.mark.parametrize(
    ("split", "found"), [("test", ":"), ("testing", ", and no images directly in testing/:")]
)
def test_folder_without_train_is_rejected_with_the_layout(make_folder, options, split, found):
    root = make_folder(**{split: {"cat": 1, "dog": 1}})
    message = f"{root} has folders but no train/ among them{found} arrange the images in {root} as"
    assert_rejected(root, options, message)


@pytest.mark.parametrize("name", ["Train", "TRAIN", "training"])
def test_training_split_of_another_name_is_named(make_folder, options, name):
    root = make_folder(**{name: {"cat": 1, "dog": 1}, "Test": {"cat": 1}})
    if (root / "train").is_dir():
        pytest.skip("this file system ignores case")
    assert_rejected(root, options, f"{root} has {name}/ but no train/: rename it")


def test_folder_around_the_dataset_is_rejected_with_the_inner_one(make_folder, options):
    root = make_folder(train={"cat": 1, "dog": 1}, test={"cat": 1})
    message = f"{root.parent} has no train/, but {root} has: give that folder"
    assert_rejected(root.parent, options, message)


def test_unsupported_file_is_rejected(tmp_path, options):
    path = tmp_path / "images.zip"
    path.write_bytes(b"PK")
    assert_rejected(path, options, f"{path} is neither a folder nor a parquet file")


def test_class_without_images_is_rejected(make_folder, options):
    root = make_folder(train={"cat": 1, "dog": 0}, test={"cat": 1})
    (root / "train" / "dog" / "notes.txt").write_text("none yet")
    assert_rejected(root, options, "class 'dog' has no images in train")


def test_folder_of_empty_classes_is_rejected(make_folder, options):
    assert_rejected(make_folder(train={"cat": 0}), options, "class 'cat' has no images in train")


def test_class_only_in_test_is_rejected(make_folder, options):
    root = make_folder(train={"cat": 1}, test={"cat": 1, "eel": 1})
    assert_rejected(root, options, f"class 'eel' is in {root}/test but not in train")


def test_truncated_image_is_named_or_skipped(make_folder, options):
    root = make_folder(train={"cat": 2, "dog": 2})
    bad = root / "train" / "dog" / "000.png"
    bad.write_bytes(bad.read_bytes()[:40])
    assert_rejected(root, options, f"cannot read {Path('train', 'dog', '000.png')}", BadImage)
    skipping = SourceOptions(cache_dir=options.cache_dir, skip_bad=True)
    source = open_source(str(root), skipping)
    assert (source.skipped, source.train.labels.tolist()) == ({"unreadable": 1}, [0, 0, 1])


def test_class_of_only_bad_images_is_rejected(make_folder, options):
    root = make_folder(train={"cat": 1, "dog": 1})
    (root / "train" / "dog" / "000.png").write_bytes(b"")
    skipping = SourceOptions(cache_dir=options.cache_dir, skip_bad=True)
    assert_rejected(root, skipping, "class 'dog' has no images in train")


def test_split_of_only_bad_images_is_no_split(make_folder, options):
    root = make_folder(train={"cat": 1}, test={"cat": 2})
    for name in ("000.png", "001.png"):
        (root / "test" / "cat" / name).write_bytes(b"")
    skipping = replace(options, skip_bad=True)
    said = "no image of test can be read: all 2 are damaged"
    for _ in range(2):  # decoded, then possibly from the cache
        assert_rejected(root, skipping, said)
        assert open_source(root, skipping, needs_test=False).test is None


def test_different_sizes_need_a_size(make_folder, options, image_of):
    root = make_folder(train={"cat": 1, "dog": 1})
    image_of(size=(9, 9)).save(root / "train" / "dog" / "000.png")
    assert_rejected(
        root, options, "is 9x9 pixels but train/cat/000.png is 6x4: resize all to one size"
    )
    sized = SourceOptions(cache_dir=options.cache_dir, size=4)
    assert open_source(str(root), sized).train.images.shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("sides", "suggested"),
    [((20, 20, 21), 20), ((40, 40, 900), 32), ((50, 80, 70), 64), ((9, 300, 280), 224)],
)
def test_suggested_size_is_a_usual_one_near_the_median(
    make_folder, options, image_of, sides, suggested
):
    root = make_folder(train={"cat": 3})
    for number, side in enumerate(sides):
        image_of(size=(side, 2 * side)).save(root / f"train/cat/{number:03}.png")
    assert_rejected(root, options, f"resize all to one size, such as --size {suggested}")


def test_greyscale_train_with_colour_test_becomes_rgb(make_folder, options, image_of):
    root = make_folder(train={"cat": 1}, test={"cat": 1})
    image_of(mode="L").save(root / "train" / "cat" / "000.png")
    source = open_source(str(root), options)
    assert source.train.images.shape[1] == source.test.images.shape[1] == 3


def test_changed_folder_is_decoded_again(make_folder, options, image_of):
    root = make_folder(train={"cat": 1})
    before = open_source(str(root), options)
    image_of(5).save(root / "train" / "cat" / "001.png")
    after = open_source(str(root), options)
    assert (len(before.train), len(after.train)) == (1, 2)


def test_empty_class_is_rejected_despite_the_cache(make_folder, options):
    root = make_folder(train={"a": 2, "b": 2})
    open_source(str(root), options)
    (root / "train" / "0new").mkdir()
    assert_rejected(root, options, "class '0new' has no images in train")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_folder_name_that_is_not_utf8(make_folder, options):
    root = make_folder(train={"a": 2})
    other = root.rename(root.with_name("bad\udcff"))
    assert open_source(str(other), options).name == "bad?"


def test_hidden_files_and_folders_are_skipped(make_folder, options):
    """Other tools, such as notebooks and file managers, leave such files and folders."""
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1})
    for hidden in (root / "train/.ipynb_checkpoints", root / "train/a/.thumbnails"):
        hidden.mkdir()
        shutil.copy(root / "train/a/000.png", hidden)
    (root / "train/a/._000.png").write_bytes(b"no image")
    source = open_source(root, options)
    assert source.classes == ("a", "b")
    assert torch.bincount(source.train.labels).tolist() == [2, 2]


def test_folder_finds_every_supported_format(make_folder, options):
    root = make_folder(train={"a": 1, "b": 1})
    image = Image.open(root / "train/a/000.png")
    for name in ("1.gif", "2.JFIF", "3.webp", "4.bmp"):
        image.save(root / "train/a" / name, "JPEG" if "JFIF" in name else None)
    assert len(open_source(root, options).train) == 6


def test_link_to_its_parent_is_not_followed(make_folder, options):
    root = make_folder(train={"a": 2, "b": 3})
    (root / "train/a/loop").symlink_to("..")
    shutil.move(root / "train/b", root / "elsewhere")
    (root / "train/b").symlink_to(root / "elsewhere")
    assert torch.bincount(open_source(root, options).train.labels).tolist() == [2, 3]


def test_dangling_link_is_a_bad_image(make_folder, options):
    root = make_folder(train={"a": 2, "b": 2})
    (root / "train/a/lost.png").symlink_to(root / "nowhere")
    assert_rejected(root, options, "cannot read train/a/lost.png", BadImage)
    assert open_source(root, replace(options, skip_bad=True)).skipped == {"unreadable": 1}


def test_path_object_is_never_a_dataset_name(tmp_path, options, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData, match="does not exist"):
        open_source(Path("digits"), options)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_named(make_folder, options):
    root = make_folder(train={"a": 2, "b": 3})
    (root / "train/a/sub").mkdir(mode=0)
    assert_rejected(root, options, f"cannot read {root / 'train/a/sub'} (Permission denied)")


def test_failed_listing_is_named(make_folder, options, monkeypatch):
    root, scandir = make_folder(train={"a": 2, "b": 3}), os.scandir

    def denied_of(place):
        def denied(path):
            if Path(path) == place:
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        return denied

    for place in (root, root / "train", root / "train/a"):
        monkeypatch.setattr("hmnpack.sources.listing.os.scandir", denied_of(place))
        assert_rejected(root, options, f"cannot read {place} (Permission denied)")


def test_mutual_links_are_followed_once(make_folder, options):
    root = make_folder(train={"a": 2, "b": 3})
    (root / "train/a/x").symlink_to("../b")
    (root / "train/b/y").symlink_to("../a")
    assert torch.bincount(open_source(root, options).train.labels).tolist() == [5, 5]


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.zip", "a"])
def test_single_file_is_rejected_with_the_layout(tmp_path, options, name):
    (tmp_path / name).touch()
    with pytest.raises(BadData, match=f"{name} is neither .* give a folder with train/<class>"):
        open_source(tmp_path / name, options)


@pytest.mark.parametrize("name", ["café", "Ångström", "한글", "naïve ñ"])
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_class_name_is_the_same_in_both_unicode_forms(make_folder, options, name, forms):
    ours, theirs = (unicodedata.normalize(form, name) for form in forms)
    root = make_folder(train={"ant": 2, ours: 2}, test={"ant": 1, theirs: 1})
    source = open_source(str(root), options)
    assert set(source.classes) == {"ant", unicodedata.normalize("NFC", name)}
    assert (len(source.train), len(source.test)) == (4, 2)
    assert source.test_problem is None


@pytest.mark.parametrize("tested", ["NFC", "NFD"])
def test_two_unicode_forms_in_one_split_are_two_classes(make_folder, options, tested):
    forms = {form: unicodedata.normalize(form, "café") for form in ("NFC", "NFD")}
    root = make_folder(train={forms["NFC"]: 1, forms["NFD"]: 2}, test={forms[tested]: 3})
    source = open_source(str(root), options)
    assert source.classes == (forms["NFD"], forms["NFC"])  # e comes before é
    assert source.train.labels.tolist() == [0, 0, 1]
    assert source.test.labels.tolist() == [source.classes.index(forms[tested])] * 3
