"""Evaluation on a small data set whose classes are shades of grey."""

import pytest
import torch

from hmnpack.bundle import Bundle, data_sha256
from hmnpack.errors import BadData, BadSettings
from hmnpack.evaluation import (
    BUNDLE_ROW,
    BYTES_ROW,
    FLOATS_ROW,
    evaluate,
    from_jpeg,
    jpeg,
    jpeg_real,
    protocol_for,
    random_real,
)
from hmnpack.runtime import stream
from hmnpack.schema.config import EvaluateConfig, NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.manifest import Budget, Manifest, Normalisation, Provenance, SourceFacts
from hmnpack.sources import Source, Split

CLASSES = ("dark", "middle", "light")
CONFIG = EvaluateConfig(
    network=NetworkConfig(width=4, depth=2),
    train=TrainConfig(epochs=8, batch=8, lr=0.05, augment=("flip", "crop"), cutmix=0),
    repeats=2,
    min_steps=0,
)


def split(per_class, seed, side=16, channels=3):
    generator = stream(seed, "split")
    labels = torch.arange(3 * per_class) % 3
    pixels = torch.rand(3 * per_class, channels, side, side, generator=generator) * 40
    slope = torch.linspace(0, 60, side).view(1, 1, 1, side)
    shades = labels.view(-1, 1, 1, 1) * 70
    ramps = torch.where(labels.view(-1, 1, 1, 1) == 1, slope, slope.transpose(2, 3))
    images = (pixels + shades / 2 + ramps * (labels.view(-1, 1, 1, 1) > 0)).to(torch.uint8)
    return Split(images, labels, "ab" * 32)


@pytest.fixture(scope="module")
def source():
    return Source(name="shades", classes=CLASSES, train=split(20, 1), test=split(10, 2))


def bundle_of(source, per_class=4):
    spec = ImagesSpec(classes=3, instances=per_class, image=source.image)
    labels = source.train.labels
    rows = torch.cat([(labels == k).nonzero()[:per_class, 0] for k in range(3)])
    tensors = {"pixels": source.train.images[rows].float() / 255}
    floats = per_class * 3 * source.image.elements
    manifest = Manifest(
        source=SourceFacts(
            name="shades", fingerprint="0" * 64, train_images=60, held_out=0, skipped=0
        ),
        classes=CLASSES,
        normalisation=Normalisation(mean=(0.4,) * 3, std=(0.2,) * 3),
        container=spec,
        ledger=spec.ledger(),
        budget=Budget(ipc=per_class, floats=floats, bytes=4 * floats),
        config=None,
        provenance=Provenance(hmnpack="0", torch="0", device="cpu", real_images_used_to_start=True),
        data_sha256=data_sha256(tensors),
    )
    return Bundle(manifest, tensors)


@pytest.fixture(scope="module")
def found(source):
    return evaluate(bundle_of(source), source, CONFIG, device="cpu")


def test_the_rows(found):
    assert [row.name for row in found.rows] == [BUNDLE_ROW, FLOATS_ROW, BYTES_ROW]
    own, floats, files = found.rows
    assert own.images == floats.images == 12
    assert own.figures["bytes"] == floats.figures["bytes"] == 4 * 12 * 768
    assert files.images > 12
    assert files.images % 3 == 0
    assert files.figures["bytes"] <= own.figures["bytes"]
    assert own.figures["steps"] == 16
    assert all(row.networks == 2 for row in found.rows)
    assert files.accuracy_mean > 80


def test_the_score(found, source):
    first, second = found.score.accuracies
    assert found.rows[0].accuracy_mean == pytest.approx((first + second) / 2)
    assert found.rows[0].accuracy_std == pytest.approx(abs(first - second) / 2**0.5)
    assert found.score.data == "shades"
    assert found.score.fingerprint == source.test.fingerprint
    assert found.score.images == 12
    assert found.score.protocol == CONFIG


def test_a_path_and_the_same_seed_give_the_same_row(found, source, tmp_path):
    path = tmp_path / "shades.hmn"
    bundle_of(source).save(path)
    alone = CONFIG.model_copy(update={"controls": False})
    again = evaluate(path, source, alone, device="cpu")
    assert len(again.rows) == 1
    assert again.score.accuracies == found.score.accuracies


def test_the_listener_hears_every_epoch(source):
    heard = []
    alone = CONFIG.model_copy(update={"controls": False})
    evaluate(
        bundle_of(source), source, alone, device="cpu", listener=lambda *a, **_: heard.append(a)
    )
    assert heard == [(BUNDLE_ROW, done, 16) for done in range(1, 17)]


def test_one_network_has_no_deviation(source):
    once = CONFIG.model_copy(update={"controls": False, "repeats": 1})
    assert evaluate(bundle_of(source), source, once, device="cpu").rows[0].accuracy_std == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": None}, "shades has no test split"),
        ({"train": split(2, 1, side=8)}, "images are 3x8x8, but the bundle's are 3x16x16"),
        ({"classes": CLASSES[:2]}, "shades has 2 classes, but the bundle has 3"),
        ({"classes": CLASSES[::-1]}, "class 0 of shades is 'light', but 'dark' in the bundle"),
    ],
)
def test_data_that_does_not_fit(source, changes, message):
    facts = {"name": "shades", "classes": CLASSES, "train": source.train, "test": source.test}
    with pytest.raises(BadData, match=message):
        evaluate(bundle_of(source), Source(**(facts | changes)), CONFIG, device="cpu")


@pytest.mark.parametrize(
    ("name", "flips"),
    [
        ("cifar10", True),
        ("fashion-mnist", True),
        ("hf:someone/fashion_mnist", True),
        ("mnist", False),
        ("svhn", False),
        ("digits", False),
        ("hf:someone/mnist:plain", False),
    ],
)
def test_digits_are_not_mirrored(name, flips):
    used = protocol_for(CONFIG, (name, "other"))
    assert ("flip" in used.train.augment) == flips
    assert used.train.augment[-1] == "crop"


def test_random_real_images_are_balanced_and_drawn_anew():
    train = split(5, 3)
    first = random_real(train, CLASSES, 2, stream(0, "a"))
    other = random_real(train, CLASSES, 2, stream(0, "b"))
    assert torch.bincount(first.labels).tolist() == [2, 2, 2]
    assert not torch.equal(first.images, other.images)
    assert len(random_real(train, CLASSES, 99, stream(0)).labels) == 15


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_files_fill_the_budget(channels):
    train = split(9, 4, channels=channels)
    made = jpeg_real(train, CLASSES, 6000, 75, stream(0, "jpeg"))
    counts = torch.bincount(made.labels)
    assert int(counts.min()) == int(counts.max())
    assert made.images.shape[1:] == (channels, 16, 16)
    assert made.images.dtype == torch.uint8
    more = jpeg_real(train, CLASSES, 10**9, 75, stream(0, "jpeg"))
    assert len(more.labels) == 27
    torch.testing.assert_close(more.images[: len(made.labels)], made.images)
    each = more.bytes / 27
    assert 6000 - 4 * each < made.bytes <= 6000
    assert len(jpeg_real(train, CLASSES, 100, 75, stream(0)).labels) == 0


def test_jpeg_files_come_back_nearly_as_they_were():
    image = split(1, 5).images[0]
    slope = torch.arange(16).view(1, 1, 16).expand(3, 16, 16).to(torch.uint8) * 8
    difference = from_jpeg(jpeg(slope, 95)).int() - slope.int()
    assert int(difference.abs().max()) <= 6
    assert len(jpeg(image, 30)) < len(jpeg(image, 90))


def test_jpeg_has_no_two_channels():
    with pytest.raises(BadSettings, match="1 or 3 channels, not 2"):
        jpeg_real(split(1, 1, channels=2), CLASSES, 1, 75, stream(0))


def test_the_spec_is_of_the_source(source):
    assert source.image == ImageShape(channels=3, height=16, width=16)
