import torch
from sklearn.cluster import KMeans

from hmnpack.matching.kmeans import kmeans, nearest_points
from hmnpack.runtime import stream


def test_well_separated_groups_are_found():
    groups = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    points = (groups[:, None] + torch.randn(3, 20, 2, generator=stream(0, "x"))).flatten(0, 1)
    centres = kmeans(points, 3, stream(7, "k"))
    means = points.view(3, 20, 2).mean(1)
    assert torch.cdist(means, centres).min(1).values.max() < 1e-4


def test_from_the_same_start_it_is_scikit_learns_lloyd():
    points = torch.randn(200, 5, generator=stream(0, "points"), dtype=torch.float64)
    start = points[torch.randperm(200, generator=stream(3, "k"))[:6]]
    reference = KMeans(6, init=start.numpy(), n_init=1, max_iter=15, tol=0, algorithm="lloyd")
    theirs = torch.from_numpy(reference.fit(points.numpy()).cluster_centers_)
    if reference.n_iter_ < 15:
        torch.testing.assert_close(kmeans(points, 6, stream(3, "k"), 15), theirs)
    else:
        torch.testing.assert_close(
            kmeans(points, 6, stream(3, "k"), 60), kmeans(points, 6, stream(3, "k"), 61)
        )


def test_a_point_is_taken_once():
    points = torch.tensor([[0.0], [1.0], [5.0]])
    centres = torch.tensor([[0.1], [0.2], [0.0]])
    assert nearest_points(points, centres).tolist() == [0, 1, 2]
