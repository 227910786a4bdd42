"""Nearest neighbours against scikit-learn, and what must not change them."""

import pytest
import torch

from hmnpack.evaluation.distances import compared, nearest_by_pixels
from hmnpack.evaluation.nearest import nearest
from hmnpack.runtime.seeds import stream


def noise(count, seed, size=(3, 5, 4)):
    images = torch.randint(0, 256, (count, *size), generator=stream(seed, "noise"))
    return images.to(torch.uint8)


@pytest.mark.parametrize("values", [2**24, 500])
def test_distances_equal_those_of_scikit_learn(monkeypatch, values):
    """Also in many small blocks."""
    neighbours = pytest.importorskip("sklearn.neighbors")
    monkeypatch.setattr("hmnpack.evaluation.nearest._VALUES", values)
    queries, references = noise(37, 1), noise(101, 2)
    indices, distances = nearest_by_pixels(queries, references, torch.device("cpu"))
    model = neighbours.NearestNeighbors(n_neighbors=1, algorithm="brute")
    model.fit(references.flatten(1).double().numpy())
    theirs, chosen = model.kneighbors(queries.flatten(1).double().numpy())
    assert indices.tolist() == chosen[:, 0].tolist()
    assert distances.numpy() == pytest.approx(theirs[:, 0] / 60**0.5, rel=1e-12)


def test_floats_equal_those_of_scikit_learn():
    neighbours = pytest.importorskip("sklearn.neighbors")
    queries, references = (torch.randn(n, 33, generator=stream(n, "x")) for n in (20, 70))
    indices, distances = nearest(queries, references)
    model = neighbours.NearestNeighbors(n_neighbors=1).fit(references.double().numpy())
    theirs, chosen = model.kneighbors(queries.double().numpy())
    assert indices.tolist() == chosen[:, 0].tolist()
    assert distances.numpy() == pytest.approx(theirs[:, 0], rel=1e-12)


def test_equal_images_have_distance_zero():
    references = noise(300, 3, (3, 32, 32))
    indices, distances = nearest_by_pixels(references[50:60], references, torch.device("cpu"))
    assert indices.tolist() == list(range(50, 60))
    assert distances.tolist() == [0.0] * 10


def test_small_differences_survive_large_values():
    """Norms and inner products in float32 would lose a difference of one in a million."""
    references = 1e3 + torch.rand(50, 100, generator=stream(0, "large"))
    queries = references[7:8].clone()
    queries[0, 0] += 0.001
    indices, distances = nearest(queries, references)
    assert indices.tolist() == [7]
    assert distances.item() == pytest.approx((queries[0, 0] - references[7, 0]).abs().item())


def test_root_mean_square_difference_by_hand():
    queries = torch.tensor([[[[10, 20]]]], dtype=torch.uint8)
    references = torch.tensor([[[[13, 24]]], [[[200, 200]]]], dtype=torch.uint8)
    indices, distances = nearest_by_pixels(queries, references, torch.device("cpu"))
    assert indices.tolist() == [0]
    assert distances.item() == pytest.approx((25 / 2) ** 0.5)


def test_first_of_equal_references_is_returned():
    references = torch.tensor([[5.0], [1.0], [3.0], [1.0]])
    indices, distances = nearest(torch.tensor([[1.0], [2.0]]), references)
    assert indices.tolist() == [1, 1]
    assert distances.tolist() == [0.0, 1.0]


def test_quantiles_and_shares_by_hand():
    real = torch.arange(101, dtype=torch.float64)
    synthetic = torch.tensor([0.0, 0.5, 1.0, 80.0], dtype=torch.float64)
    found = compared("pixels", synthetic, real)
    assert (found.real.least, found.real.p1, found.real.p5) == (0, pytest.approx(1), 5)
    assert (found.real.median, found.real.p95, found.real.images) == (50, 95, 101)
    assert (found.synthetic.median, found.copies, found.below_p1) == (0.75, 1, 50.0)
