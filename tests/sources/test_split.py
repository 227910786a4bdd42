import pytest
import torch

from hmnpack.errors import BadData
from hmnpack.sources import choose_per_class, hold_out, normalisation_of
from hmnpack.sources.types import split_of


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def split_with(counts, channels=1):
    """Return shuffled images whose first pixel is their index."""
    labels = torch.cat([torch.full((n,), label) for label, n in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=generator(9))]
    images = torch.zeros(len(labels), channels, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(labels)).to(torch.uint8)
    return split_of(images, labels)


@pytest.mark.parametrize(
    ("fraction", "counts", "held"),
    [
        (0.1, (30, 19, 9), [3, 1, 0]),
        (0.29, (100,), [29]),  # 0.29 * 100 is 28.999... in binary
        (0.9, (10, 1), [9, 0]),
    ],
)
def test_hold_out_takes_the_floor_of_the_fraction_of_each_class(fraction, counts, held):
    remaining, out = hold_out(split_with(counts), fraction, generator())
    assert torch.bincount(out.labels, minlength=len(counts)).tolist() == held
    assert len(remaining) + len(out) == sum(counts)


def test_hold_out_divides_the_images_and_keeps_their_order():
    split = split_with((20, 20))
    remaining, out = hold_out(split, 0.3, generator())
    places = split.images[:, 0, 0, 0].argsort()  # position of each image, by its index
    rows_remaining, rows_out = (
        places[part.images[:, 0, 0, 0].long()].tolist() for part in (remaining, out)
    )
    assert rows_remaining == sorted(rows_remaining)
    assert rows_out == sorted(rows_out)
    assert sorted(rows_remaining + rows_out) == list(range(40))
    assert torch.equal(split.labels[rows_out], out.labels)


def test_hold_out_depends_on_the_generator_alone():
    split = split_with((20, 20))
    first, again, other = (hold_out(split, 0.3, generator(seed))[1] for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_hold_out_of_nothing_returns_the_split_itself():
    split = split_with((3, 3))
    remaining, out = hold_out(split, 0.0, generator())
    assert remaining is split
    assert out.images.shape == (0, 1, 2, 2)


def test_choose_per_class_groups_by_class_without_repeats():
    split = split_with((5, 7, 4))
    rows = choose_per_class(split, 4, generator())
    assert split.labels[rows].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(rows.tolist())) == 12
    assert torch.equal(rows, choose_per_class(split, 4, generator()))
    assert not torch.equal(rows, choose_per_class(split, 4, generator(1)))


def test_choose_per_class_rejects_a_class_with_too_few_images():
    with pytest.raises(BadData, match="class 'cat' has 2 images; 3 were requested"):
        choose_per_class(split_with((5, 2)), 3, generator(), ("ant", "cat"))
    with pytest.raises(BadData, match="class '1' has 2 images"):
        choose_per_class(split_with((5, 2)), 3, generator())


def test_normalisation_is_over_all_pixels_of_a_channel():
    images = torch.randint(0, 256, (5000, 3, 3, 2), generator=generator(), dtype=torch.uint8)
    found = normalisation_of(split_of(images, torch.zeros(5000, dtype=torch.int64)))
    pixels = images.double().permute(1, 0, 2, 3).reshape(3, -1) / 255
    assert found.mean == pytest.approx(pixels.mean(1).tolist(), rel=1e-12)
    assert found.std == pytest.approx(pixels.std(1, correction=0).tolist(), rel=1e-12)


def test_normalisation_of_a_constant_channel():
    images = torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)
    found = normalisation_of(split_of(images, torch.tensor([0, 1])))
    assert (found.mean, found.std) == ((1.0,), (1.0,))
