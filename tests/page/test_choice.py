"""Selection of images: bounded, most useful first, and the extremes of each class."""

import pytest

from hmnpack.page.choice import END_PIXELS, PIXELS, by_class, by_margin
from hmnpack.page.decoding import gallery_of
from hmnpack.schema.pruning import Margins


@pytest.fixture
def manifest_of(bundle_of, images, image_shape):
    """Return a function: classes, images per class, side -> manifest."""

    def make(classes, instances, side, channels=3):
        spec = images(classes=classes, instances=instances, image=image_shape(channels, side, side))
        names = tuple(f"class {index}" for index in range(classes))
        small = bundle_of(images(), classes=("a", "b")).manifest
        budget = {"ipc": spec.largest, "floats": spec.images * spec.image.elements}
        return small.model_copy(
            update={
                "container": spec,
                "classes": names,
                "budget": small.budget.model_copy(update=budget),
            }
        )

    return make


def values_in(choice, manifest):
    image = manifest.container.image
    side = -(-image.side // choice.factor)
    return sum(map(len, choice.rows)) * image.channels * side * side


@pytest.mark.parametrize(
    ("classes", "instances", "side", "shown", "each", "factor"),
    [
        (10, 1168, 32, 10, 48, 1),  # CIFAR-10, 50 ipc
        (100, 93, 32, 100, 4, 1),  # CIFAR-100
        (200, 42, 64, 100, 4, 2),  # Tiny-ImageNet
        (10, 125, 224, 10, 8, 3),  # ImageNet-10
        (1000, 3, 64, 100, 3, 2),
        (2, 3, 8, 2, 3, 1),
        (1, 1, 4096, 1, 1, 6),
    ],
)
def test_number_of_images_fits_the_limits(
    manifest_of, classes, instances, side, shown, each, factor
):
    manifest = manifest_of(classes, instances, side)
    choice = by_class(manifest)
    assert (len(choice.rows), len(choice.rows[0]), choice.factor) == (shown, each, factor)
    assert values_in(choice, manifest) <= PIXELS


def test_all_images_fit_the_page_size():
    as_base64 = 4 / 3 * (PIXELS + 2 * END_PIXELS)
    assert as_base64 * 1.04 < 2.8e6  # a PNG of noise is 3 % larger than its pixels


def test_first_images_of_each_class_are_shown(manifest_of):
    assert by_class(manifest_of(2, 3, 8)).rows == ((0, 1, 2), (3, 4, 5))
    assert by_class(manifest_of(10, 1168, 32)).rows[3][:2] == (3504, 3505)


def test_extremes_of_each_class_are_shown_most_extreme_first(manifest_of):
    manifest = manifest_of(2, 4, 8)
    margins = Margins(epochs=10, seeds=1, values=(3, 1, 4, 1, -9, 2, 6, 5))
    hardest, easiest = by_margin(manifest, margins)
    assert hardest.rows == ((1, 3), (4, 5))
    assert easiest.rows == ((2, 0), (6, 7))


def test_unequal_classes_show_all_their_images(manifest_of):
    manifest = manifest_of(3, (1, 60, 3), 8)
    assert by_class(manifest).rows == ((0,), tuple(range(1, 49)), (61, 62, 63))
    margins = Margins(epochs=10, seeds=1, values=(5, *range(60), 9, 7, 8))
    hardest, easiest = by_margin(manifest, margins)
    assert hardest.rows == ((0,), tuple(range(1, 9)), (62,))
    assert easiest.rows == ((0,), tuple(range(60, 52, -1)), (61,))


def test_ends_are_disjoint_and_bounded(manifest_of):
    manifest = manifest_of(30, 1000, 32)
    values = tuple(range(-5000, 25000))
    margins = Margins(epochs=10, seeds=1, values=tuple(min(value, 10000) for value in values))
    hardest, easiest = by_margin(manifest, margins)
    assert len(hardest.rows) == len(easiest.rows) == 20
    assert {len(row) for row in (*hardest.rows, *easiest.rows)} == {4}
    for choice in (hardest, easiest):
        assert values_in(choice, manifest) <= END_PIXELS
    for hard, easy in zip(hardest.rows, easiest.rows, strict=True):
        assert not set(hard) & set(easy)


def test_png_images_are_the_decoded_images(full_bundle):
    from io import BytesIO

    import numpy as np
    from PIL import Image

    gallery = gallery_of(full_bundle)
    assert gallery.by_class.rows[1][0][0] == 4
    for wall in (gallery.by_class, gallery.hardest, gallery.easiest):
        assert (wall.width, wall.height, wall.factor) == (8, 8, 1)
        for position, data in (tile for row in wall.rows for tile in row):
            pixels = np.asarray(Image.open(BytesIO(data)))
            expected = full_bundle.tensors["pixels"][position].permute(1, 2, 0) * 255
            assert np.abs(pixels - expected.numpy()).max() <= 0.5


def test_unsupported_channels_have_no_png_images(bundle_of, images, image_shape):
    assert gallery_of(bundle_of(images(image=image_shape(2, 4, 4)))).by_class is None


def test_large_images_are_downscaled(bundle_of, images, image_shape, monkeypatch):
    monkeypatch.setattr("hmnpack.page.choice.PIXELS", 3 * 4 * 8 * 8)
    bundle = bundle_of(images(instances=4, image=image_shape(3, 30, 20)))
    wall = gallery_of(bundle).by_class
    assert (wall.width, wall.height, wall.factor) == (4, 6, 5)
