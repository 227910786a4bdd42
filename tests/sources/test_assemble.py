import io
import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from hmnpack.errors import BadData
from hmnpack.runtime.progress import no_progress
from hmnpack.sources import SourceOptions
from hmnpack.sources.assemble import array_source, check_labels, decode_source, resized
from hmnpack.sources.decode import Encoded


def labels(*values):
    return torch.tensor(values, dtype=torch.int64)


@pytest.mark.parametrize("size", [5, 12, 31])
def test_resized_matches_pillow(image_of, size):
    images = [image_of(seed, size=(12, 12)) for seed in range(3)]
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    expected = np.stack([i.resize((size, size), Image.Resampling.BILINEAR) for i in images])
    found = resized(stacked, size).permute(0, 2, 3, 1).int()
    assert (found - torch.from_numpy(expected).int()).abs().max() <= 1


def test_resized_to_the_same_size_is_the_identity():
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert resized(images, None) is images
    assert resized(images, 4) is images


@pytest.mark.parametrize(
    ("given", "split", "message"),
    [
        (labels(0, 1, 2), "train", "label 2 of train is not a class: labels range from 0 to 1"),
        (labels(-1), "test", "label -1 of test is not a class: labels range from 0 to 1"),
        (
            labels(0, 0),
            "train",
            "class 'bee' has no images in train: add some, or choose",
        ),
        (labels(), "train", "class 'ant' has no images in train"),
    ],
)
def test_check_labels_rejects_invalid_labels(given, split, message):
    with pytest.raises(BadData, match=re.escape(message)):
        check_labels(("ant", "bee"), given, split)


def test_check_labels_allows_a_class_missing_from_test():
    check_labels(("ant", "bee"), labels(0), "test")


def test_array_source_preserves_class_names():
    part = torch.zeros(1, 1, 2, 2, dtype=torch.uint8), labels(0)
    source = array_source("x", ["T-shirt/top"], part, lambda: part, SourceOptions())
    assert source.classes == ("T-shirt/top",)


def encoded(*payloads):
    return Encoded(
        torch.arange(len(payloads)),
        lambda a, b: list(payloads[a:b]),
        lambda index: f"image {index}",
    )


@pytest.mark.parametrize("action", ["error", "always"])
def test_very_large_images_are_read_without_a_warning(image_of, encode, monkeypatch, action):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # Pillow warns from here to twice as many
    images = [image_of(seed, size=(6, 6)) for seed in (1, 2)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        before = list(warnings.filters)
        split = encoded(*map(encode, images))
        source = decode_source("x", ("a", "b"), split, lambda: split, SourceOptions(), no_progress)
        assert warnings.filters == before
    assert (len(source.train), caught) == (2, [])


def test_damaged_metadata_are_read_without_a_warning(image_of, encode):
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03"
    image = Image.open(io.BytesIO(encode(image_of(), exif=block)))
    with pytest.warns(UserWarning, match="EXIF"):
        image.getexif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = encoded(encode(image_of(), exif=block))
        decode_source("x", ("a",), split, None, SourceOptions(), no_progress)
