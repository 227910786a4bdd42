"""Fingerprints: an independent implementation of FORMAT.md, and invariances."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from hmnpack.sources.types import split_of

FORMAT = Path(__file__).parents[2] / "FORMAT.md"


def fingerprint_by_format(images, labels):
    """Return the fingerprint, written from section 3.3 of FORMAT.md alone.

    Args:
        images: uint8 [N, C, H, W], an array.
        labels: Integers [N], an array.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    records = sorted(zip(labels.tolist(), digests, strict=True))
    text = "split/1 [{},{},{},{}]".format(*images.shape).encode()
    for label, digest in records:
        text += label.to_bytes(8, "little", signed=True) + digest
    return hashlib.sha256(text).hexdigest()


def noise(count, *shape, classes=3, seed=0):
    """Images of few values, so that many small ones are equal; labels in any order."""
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, 3, (count, *shape), dtype=np.uint8))
    return images, torch.from_numpy(rng.integers(0, classes, count))


IMAGES, LABELS = noise(40, 3, 4, 5)


@pytest.mark.parametrize(
    ("count", "shape", "classes"),
    [(40, (3, 4, 5), 3), (40, (1, 1, 2), 3), (300, (1, 2, 1), 300), (1, (16, 1, 1), 1)],
)
def test_fingerprint_matches_format_md(count, shape, classes):
    images, labels = noise(count, *shape, classes=classes)
    found = split_of(images, labels).fingerprint
    assert found == fingerprint_by_format(images.numpy(), labels.numpy())


@pytest.mark.skipif(not FORMAT.is_file(), reason="no source tree")
def test_fingerprint_matches_the_example_in_format_md():
    images = torch.tensor([[7, 9], [0, 0], [7, 9], [255, 0]], dtype=torch.uint8)
    found = split_of(images.reshape(4, 1, 1, 2), torch.tensor([1, 0, 1, 0])).fingerprint
    assert re.findall("`([0-9a-f]{64})`", FORMAT.read_text()) == [found]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES.reshape(40, 3, 5, 4), LABELS),
        (IMAGES.transpose(2, 3), LABELS),
        (IMAGES + 1, LABELS),
        (IMAGES, LABELS + 1),
        (IMAGES.flip(0), LABELS),
        (IMAGES[1:], LABELS[1:]),
        (torch.cat([IMAGES, IMAGES[:1]]), torch.cat([LABELS, LABELS[:1]])),
    ],
)
def test_fingerprint_changes_with_the_data(images, labels):
    assert split_of(images, labels).fingerprint != split_of(IMAGES, LABELS).fingerprint


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 2)])
def test_split_depends_on_neither_order_nor_memory_layout(shape, owned):
    images, labels = noise(40, *shape)
    split = split_of(images, labels)
    for seed in range(5):
        order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        other = images[order].permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        found = split_of(other, labels[order], owned=owned)
        assert found.images.is_contiguous()
        assert torch.equal(found.images, split.images)
        assert torch.equal(found.labels, split.labels)
        assert torch.equal(found.digests, split.digests)
        assert found.fingerprint == split.fingerprint


def test_split_holds_every_image_with_its_label_in_canonical_order():
    def rows(images, labels):
        pixels = (image.numpy().tobytes() for image in images)
        return list(zip(labels.tolist(), pixels, strict=True))

    split = split_of(IMAGES, LABELS)
    expected = sorted(rows(IMAGES, LABELS), key=lambda r: (r[0], hashlib.sha256(r[1]).digest()))
    assert rows(split.images, split.labels) == expected
    digests = [hashlib.sha256(pixels).digest() for _, pixels in expected]
    assert split.digests.numpy().tobytes() == b"".join(digests)


def test_split_does_not_modify_images_it_does_not_own():
    images = IMAGES.clone()
    copied = split_of(images, LABELS)
    assert torch.equal(images, IMAGES)
    moved = split_of(images, LABELS, owned=True)
    assert moved.images.data_ptr() == images.data_ptr() != copied.images.data_ptr()


def test_split_may_be_empty():
    split = split_of(IMAGES[:0], LABELS[:0])
    assert split.fingerprint == hashlib.sha256(b"split/1 [0,3,4,5]").hexdigest()
    assert split.images.shape == (0, 3, 4, 5)


def test_subset_is_the_split_of_its_images():
    split = split_of(IMAGES, LABELS)
    chosen = torch.arange(40) % 3 == 1
    found, expected = split.subset(chosen), split_of(split.images[chosen], split.labels[chosen])
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.digests, expected.digests)
    assert found.fingerprint == expected.fingerprint
