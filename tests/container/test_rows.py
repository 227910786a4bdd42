"""The order of images in a container, against explicit lists."""

import pytest
import torch

from hmnpack.container import class_of, first_of_each

COUNTS = [(3, 3, 3), (1, 4, 2), (5, 1, 1), (1, 1, 2), (7,)]


@pytest.fixture
def spec_of(images):
    """A function that returns a spec with the given images per class."""

    def make(counts):
        equal = len(set(counts)) == 1
        return images(classes=len(counts), instances=counts[0] if equal else counts)

    return make


@pytest.mark.parametrize("counts", COUNTS)
def test_row_functions_equal_an_explicit_list(spec_of, counts):
    spec = spec_of(counts)
    listed = [(label, place) for label, count in enumerate(counts) for place in range(count)]
    every = torch.arange(len(listed))
    assert spec.images == len(listed)
    assert spec.counts == counts
    assert list(spec.offsets) == [listed.index((label, 0)) for label in range(len(counts))]
    assert (spec.smallest, spec.largest) == (min(counts), max(counts))
    assert class_of(spec, every).tolist() == [label for label, _ in listed]
    backwards = every.flip(0).view(1, -1)
    assert class_of(spec, backwards).tolist() == [[label for label, _ in reversed(listed)]]
    for most in range(1, 9):
        expected = [row for row, (_, place) in enumerate(listed) if place < most]
        assert first_of_each(spec, most).tolist() == expected


def test_first_of_each_takes_memory_proportional_to_the_images(images):
    """A table of all classes by the largest count would have 10^11 entries."""
    spec = images(classes=100_000, instances=(*[1] * 99_999, 1_000_000))
    assert len(first_of_each(spec, 1_000_000)) == spec.images == 1_099_999
    assert first_of_each(spec, 2)[-2:].tolist() == [99_999, 100_000]


def test_each_raises_if_the_counts_of_classes_differ(spec_of):
    assert spec_of((3, 3)).each == 3
    with pytest.raises(ValueError, match="classes have different numbers of images: 1 to 4"):
        assert spec_of((1, 4, 2)).each
