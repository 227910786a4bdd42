"""The planner's sizes for photos, against counts by hand."""

import pytest

from hmnpack.container.budget import counted_floats, floats_of, plan
from hmnpack.schema.container import ImageShape
from hmnpack.schema.recipes import FAST


def planned(side, ipc=1, classes=20):
    image = ImageShape(channels=3, height=side, width=side)
    return plan(ipc, classes, image, FAST.container)


@pytest.mark.parametrize(
    ("side", "grid", "layers"),
    [(48, 6, 3), (64, 8, 3), (65, 5, 4), (96, 6, 4), (128, 8, 4), (160, 5, 5), (256, 8, 5)],
)
def test_grid_is_doubled_to_the_side_of_a_photo(side, grid, layers):
    spec = planned(side)
    assert (spec.grid, len(spec.decoder_channels) + 1) == (grid, layers)
    assert 0 <= spec.decoded_side - side < 2**layers


def test_photo_of_64_pixels_by_hand():
    """A class has 12,288 floats: 0.8 of them are 40 memories of 3.8 channels of 8 x 8."""
    spec = planned(64)
    assert (spec.dataset_channels, spec.class_channels, spec.instance_channels) == (16, 6, 3)
    assert spec.extractor_channels is None
    decoder = 16 * (25 * 32 + 32 * 20 + 20 * 3) + 32 + 20 + 3
    shared = 64 * (16 + 20 * 6) + decoder + 2 * (32 + 20)
    assert spec.each == (20 * 12_288 - shared) // (20 * 64 * 3) == 55
    assert counted_floats(spec) == shared + 20 * 55 * 64 * 3


def test_more_ipc_gives_more_images_and_more_channels():
    few, many = planned(64), planned(64, ipc=10)
    assert many.instance_channels > few.instance_channels
    assert many.each > few.each


@pytest.mark.parametrize("classes", [2, 5, 20, 101, 200])
@pytest.mark.parametrize("side", [48, 64, 75, 100, 128, 224])
def test_any_photo_fits(side, classes):
    spec = planned(side, classes=classes)
    assert spec.each >= FAST.container.min_images
    assert counted_floats(spec) <= floats_of(1, classes, spec.image)
    if classes > 2:
        assert counted_floats(spec) > 0.95 * floats_of(1, classes, spec.image)


def test_the_papers_photos_keep_table_7():
    assert planned(64, classes=200).extractor_channels is None
    assert planned(64, ipc=10, classes=200).extractor_channels == 40
    assert planned(224, classes=10).grid == 12
