import hashlib

import pytest
import torch

from hmnpack.sources.fingerprint import fingerprint_of, split_of

IMAGES = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4)
LABELS = torch.tensor([1, 258])


def test_it_is_the_hash_of_shape_pixels_and_labels():
    data = b"[2,1,3,4]" + bytes(range(24)) + b"\1" + bytes(7) + b"\2\1" + bytes(6)
    assert fingerprint_of(IMAGES, LABELS) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES.reshape(2, 1, 4, 3), LABELS),
        (IMAGES + 1, LABELS),
        (IMAGES, LABELS + 1),
        (IMAGES.flip(0), LABELS),
    ],
)
def test_any_change_changes_it(images, labels):
    assert fingerprint_of(images, labels) != fingerprint_of(IMAGES, LABELS)


def test_it_does_not_depend_on_memory_layout():
    other = IMAGES.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert fingerprint_of(other, LABELS) == fingerprint_of(IMAGES, LABELS)


def test_a_split_is_contiguous_and_may_be_empty():
    split = split_of(IMAGES.permute(0, 1, 3, 2), LABELS)
    assert split.images.is_contiguous()
    assert split_of(IMAGES[:0], LABELS[:0]).fingerprint == hashlib.sha256(b"[0,1,3,4]").hexdigest()
