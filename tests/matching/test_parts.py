"""Partitioning of classes, and matching part by part."""

import pytest
import torch

from hmnpack.matching import Match, choose_targets, load_or_train_pool, partition_classes
from hmnpack.matching.parts import cut, project_on_spread
from hmnpack.matching.views import Views
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MatchConfig
from hmnpack.schema.container import ImageShape, ImagesSpec


def spec(instances):
    image = ImageShape(channels=3, height=16, width=16)
    return ImagesSpec(classes=3, instances=instances, image=image)


@pytest.fixture
def parted(real, pool_config, tmp_path):
    pool = load_or_train_pool(real, pool_config, 0, tmp_path)
    return partition_classes(real, pool.trained(0), 3, 10, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("points", [8, 37, 100])
def test_cut_gives_parts_of_nearly_equal_size(count, points):
    cloud = torch.randn(points, 6, generator=stream(0, "cloud"))
    sizes = torch.bincount(cut(cloud, count, stream(0, "cut")), minlength=count)
    assert sizes.sum() == points
    assert sizes.min() >= 1
    assert (sizes - points / count).abs().max() <= 2


def test_cut_separates_distant_clusters():
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 20.0], [50.0, 20.0]])
    noise = torch.randn(4, 25, 2, generator=stream(0, "noise"))
    parts = cut((centres[:, None] + noise).flatten(0, 1), 4, stream(0, "cut")).view(4, 25)
    assert (parts == parts[:, :1]).all()
    assert sorted(parts[:, 0].tolist()) == [0, 1, 2, 3]


def test_projection_matches_the_first_principal_component():
    cloud = torch.randn(200, 5, generator=stream(0, "cloud")) * torch.tensor([1, 9, 2, 3, 1.0])
    place = project_on_spread(cloud, stream(0, "cut"))
    around = cloud - cloud.mean(0)
    greatest = torch.linalg.svd(around, full_matrices=False).Vh[0]
    expected = around @ greatest
    assert torch.allclose(place.abs(), expected.abs(), atol=1e-3)


def test_cut_divides_identical_points():
    parts = cut(torch.ones(7, 3), 3, stream(0, "cut"))
    assert torch.bincount(parts).min() >= 2


def test_each_class_is_partitioned_separately(parted, real):
    data = parted
    assert data.parts_each == 3
    for label in range(3):
        rows = [data.rows_of(label, part) for part in range(3)]
        assert torch.equal(torch.cat(rows).sort().values, real.rows_of(label))


def test_number_of_parts_is_limited_by_the_images(real, pool_config, tmp_path):
    network = load_or_train_pool(real, pool_config, 0, tmp_path).trained(0)
    smallest = int(torch.bincount(real.labels).min())
    assert partition_classes(real, network, 999, 999, 0).parts_each == smallest
    assert partition_classes(real, network, 999, 2, 0).parts_each == 2
    assert partition_classes(real, network, 999, 1, 0) is real


@pytest.mark.parametrize(
    ("most", "instances", "expected"),
    [
        (0, 85, 1),
        (22, 85, 4),  # 4 parts of at most 22
        (21, 85, 5),
        (22, 30, 4),
        (22, 10, 4),
        (20, 234, 12),  # 12 parts of 19 or 20
        (20, 3, 3),
        (1, 7, 7),
    ],
)
def test_number_of_parts_grows_with_the_class_size(most, instances, expected):
    config = MatchConfig(steps=1, part_images=most)
    assert config.parts_of(instances) == expected
    assert not most or -(-instances // expected) <= most


@pytest.mark.parametrize(
    ("whole", "instances", "expected"),
    [(0, 5000, 0.3), (100, 85, 0.3), (100, 100, 0.3), (100, 200, 0.15), (100, 3000, 0.01)],
)
def test_cross_entropy_weight_falls_with_the_class_size(whole, instances, expected):
    config = MatchConfig(steps=1, classification=0.3, classification_images=whole)
    assert config.classification_of(instances) == pytest.approx(expected)


def test_targets_are_chosen_part_by_part(parted):
    for place, image in enumerate(choose_targets(parted, 7, 0)):
        rows = (parted.images == image).flatten(1).all(1).nonzero().flatten()
        label, part = place // 7, place % 7 % 3
        assert ((parted.labels[rows] == label) & (parted.parts[rows] == part)).any()


def views_of(data, config):
    return Views(Match(data, None, config, 0), networks=2, equal=True)


def test_real_and_synthetic_images_of_a_step_share_a_part(parted):
    data = parted
    views = views_of(data, MatchConfig(steps=1, real_batch=6, synthetic_batch=4))
    seen = set()
    for step in range(12):
        view, chosen = views.at(spec(10), step)
        real = torch.stack(view.real)
        assert (real.shape, chosen.shape) == ((3, 6), (3, 3))  # 10 images in parts of 4, 3 and 3
        assert (data.labels[real] == torch.arange(3)[:, None]).all()
        part_of_real, part_of_chosen = data.parts[real], chosen % 10 % 3
        assert (part_of_real == part_of_real[:, :1]).all()
        assert torch.equal(part_of_real[:, 0], part_of_chosen[:, 0])
        assert torch.equal(part_of_real[:, 0], view.chosen)
        assert (part_of_chosen == part_of_chosen[:, :1]).all()
        assert len(chosen.unique()) == 9
        seen |= {(label, int(part)) for label, part in enumerate(part_of_chosen[:, 0])}
    assert len(seen) == 9


@pytest.mark.parametrize("views", [0, 2, 7])
def test_consecutive_views_cover_every_part_once(parted, views):
    """The number of views is rounded up to a multiple of the parts, so that all parts recur."""
    data = parted
    found = views_of(data, MatchConfig(steps=1, real_batch=6, views=views))
    assert found.count == {0: 0, 2: 3, 7: 9}[views]
    by_number = {}
    for step in range(6 * max(found.count, 1)):
        view, _ = found.at(spec(10), step)
        by_number[view.number] = view.chosen
    for first in range(0, len(by_number) - 2, 3):
        turn = torch.stack([by_number[first + place] for place in range(3)])
        assert torch.equal(turn.sort(0).values, torch.arange(3)[:, None].expand(3, 3))
    orders = {tuple(chosen.tolist()) for chosen in by_number.values()}
    assert len(orders) > 1
