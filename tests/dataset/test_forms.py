"""A dataset as NumPy arrays, and as a Hugging Face dataset."""

import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import hmnpack
from hmnpack.errors import BadSettings, MissingExtra


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_the_pixels_that_expand_writes(bundle_of, hmn, image_shape, tmp_path, channels):
    bundle = bundle_of(hmn(instances=(3, 5), image=image_shape(channels, 16, 16)))
    images, labels = hmnpack.load(bundle).arrays()
    assert (images.dtype, images.shape) == (np.uint8, (8, 16, 16, channels))
    assert (labels.dtype, labels.tolist()) == (np.int64, [0] * 3 + [1] * 5)
    out = hmnpack.expand(bundle, tmp_path / "out")
    for row, path in enumerate(sorted(out.rglob("*.png"))):
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image).reshape(images[row].shape), images[row])
    assert images.flags.writeable and images.flags.c_contiguous


def test_arrays_of_some_images_of_each_class(bundle_of, images):
    bundle = bundle_of(images(instances=3))
    every, _ = hmnpack.load(bundle).arrays()
    some, labels = hmnpack.load(bundle, per_class=2, transform=str).arrays()
    assert np.array_equal(some, every[[0, 1, 3, 4]]) and labels.tolist() == [0, 0, 1, 1]


def test_arrays_have_any_number_of_channels(bundle_of, images, image_shape):
    dataset = hmnpack.load(bundle_of(images(image=image_shape(5, 2, 3))))
    assert dataset.arrays()[0].shape == (4, 2, 3, 5)


@pytest.fixture
def fake_datasets(monkeypatch):
    """The part of `datasets` that is used; a dataset is its columns and features."""
    module = ModuleType("datasets")
    module.Image = lambda: "Image"
    module.ClassLabel = lambda names: ("ClassLabel", names)
    module.Features = dict
    module.Dataset = type(
        "Dataset", (), {"from_dict": staticmethod(lambda cells, features: (cells, features))}
    )
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hugging_face_dataset_has_images_and_class_labels(fake_datasets, hmn_bundle):
    dataset = hmnpack.load(hmn_bundle)
    columns, features = dataset.to_hf()
    assert features == {"image": "Image", "label": ("ClassLabel", ["ant", "bee"])}
    assert columns["label"] == [0, 0, 0, 1, 1, 1]
    assert columns["image"][0]["bytes"].startswith(b"\x89PNG")


def test_hugging_face_dataset_of_unsupported_channels_is_refused(
    fake_datasets, bundle_of, images, image_shape
):
    dataset = hmnpack.load(bundle_of(images(image=image_shape(5, 2, 3))))
    with pytest.raises(BadSettings, match="5 channels"):
        dataset.to_hf()


def test_missing_library_names_the_extra(monkeypatch, hmn_bundle):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"\[hub\]"):
        hmnpack.load(hmn_bundle).to_hf()


@pytest.mark.slow
def test_hugging_face_dataset_is_read_by_its_library(hmn_bundle):
    datasets = pytest.importorskip("datasets")
    dataset = hmnpack.load(hmn_bundle)
    arrays, labels = dataset.arrays()
    made = dataset.to_hf()
    assert isinstance(made.features["image"], datasets.Image)
    assert made.features["label"].names == dataset.classes
    assert made["label"][:] == labels.tolist()
    for row, wanted in zip(made, arrays, strict=True):
        assert np.array_equal(np.asarray(row["image"]), wanted)
