"""Views: cycled in random order, reproducible, with cached real features."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.augment import apply
from hmnpack.container import new_container
from hmnpack.matching import OBJECTIVES, FeatureMatching, Match, load_or_train_pool
from hmnpack.matching.parts import partition_classes
from hmnpack.matching.reference import Reference
from hmnpack.matching.view_cache import ViewCache
from hmnpack.matching.views import Views
from hmnpack.runtime.ranks import ALONE
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig
from hmnpack.schema.container import ImageShape, ImagesSpec

SPEC = ImagesSpec(classes=3, instances=6, image=ImageShape(channels=3, height=16, width=16))


def config(**changes):
    settings = {"real_batch": 5, "synthetic_batch": 3, "precision": "float32", **changes}
    return MatchConfig(steps=9, **settings)


@pytest.fixture
def pool(real, pool_config, tmp_path):
    return load_or_train_pool(real, pool_config, 0, tmp_path)


@pytest.fixture
def matching(real, pool):
    def matching(max_memory=None, parts=1, **changes):
        data = partition_classes(real, pool.trained(0), parts, SPEC.instances, 0)
        settings = config(**changes)
        return OBJECTIVES[settings.objective](Match(data, pool, settings, 7, ALONE, max_memory))

    return matching


def container():
    return new_container(SPEC, ContainerConfig(), stream(0, "container"))


def gradient(objective, step):
    images = container()
    objective.loss(images, step).backward()
    return images.pixels.grad


def test_every_cycle_visits_every_view_in_a_new_order(real):
    views = Views(Match(real, None, config(views=4), 0), networks=2, equal=True)
    steps = [views.at(SPEC, step) for step in range(12)]
    rounds = [[view.number for view, _ in steps[start : start + 4]] for start in (0, 4, 8)]
    assert [sorted(numbers) for numbers in rounds] == [[0, 1, 2, 3]] * 3
    assert len({tuple(numbers) for numbers in rounds}) > 1


def test_recurring_view_is_equal_with_other_synthetic_images(real):
    views = Views(Match(real, None, config(views=2), 0), networks=2, equal=True)
    by_number = {}
    for step in range(8):
        view, chosen = views.at(SPEC, step)
        by_number.setdefault(view.number, []).append((view, chosen))
    for same in by_number.values():
        first = same[0][0]
        for view, _ in same:
            assert all(map(torch.equal, view.real, first.real))
            assert (view.network, view.part) == (first.network, first.part)
            augmented, before = (some.draws for some in (view, first))
            images = torch.ones(3, 3, 16, 16)
            assert torch.equal(apply(images, augmented), apply(images, before))
        assert len({tuple(chosen.flatten().tolist()) for _, chosen in same}) > 1
    assert not all(map(torch.equal, by_number[0][0][0].real, by_number[1][0][0].real))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"parts": 2}, {"objective": "characteristic"}])
def test_caching_views_does_not_change_gradients(matching, changes):
    """One objective caches its views; the other is created anew for each step."""
    cached = matching(views=2, **changes)
    for step in range(6):
        torch.testing.assert_close(
            gradient(cached, step), gradient(matching(views=2, **changes), step), rtol=0, atol=0
        )


def test_real_features_are_computed_once_per_view(matching, monkeypatch):
    calls = []
    compute = FeatureMatching._real_features
    monkeypatch.setattr(
        FeatureMatching,
        "_real_features",
        lambda self, view, *given: calls.append(view.number) or compute(self, view, *given),
    )
    objective = matching(views=3)
    for step in range(9):
        objective.loss(container(), step)
    assert sorted(calls) == [0, 1, 2]


def test_views_beyond_the_cache_size_are_recomputed(matching):
    roomy = matching(views=4)
    wanted = [gradient(roomy, step) for step in range(8)]
    size = sum(reference.bytes for reference in next(iter(roomy._cache.values())))
    narrow = matching(max_memory=2 * 3 * size, views=4)
    found = [gradient(narrow, step) for step in range(8)]
    assert (len(roomy._cache), len(narrow._cache)) == (4, 3)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_interpolation_stays_within_the_farthest_setting(real):
    def parts(**changes):
        views = Views(Match(real, None, config(**changes), 0), networks=2, equal=True)
        return torch.tensor([views.at(SPEC, step)[0].part for step in range(200)])

    whole = parts()
    assert 0.95 < whole.max() <= 1
    assert torch.allclose(parts(farthest=0.3), 0.3 * whole)
    assert not parts(farthest=0.0).any()


def test_without_views_nothing_is_cached(matching):
    objective = matching()
    objective.loss(container(), 0)
    assert not objective._cache


def test_cross_entropy_of_the_interpolated_network_is_added(matching, pool, real):
    """The cross-entropy is weighted by the position from initial to trained weights."""
    with_it, without = (matching(classification=w) for w in (0.4, 0.0))
    for step in range(3):
        images = container()
        found = with_it.loss(images, step) - without.loss(images, step)
        view, chosen = with_it.views.at(SPEC, step)
        network = pool.between(view.network, view.part)
        seen = images.expand(chosen.flatten())
        logits = network(real.prepared(seen, torch.arange(3), view.draws))
        errors = F.cross_entropy(logits, torch.arange(3).repeat_interleave(3))
        expected = 0.4 * (1 - view.part) * errors
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_reference_bytes_include_the_frequencies(matching):
    objective = matching(views=2, objective="characteristic")
    objective.loss(container(), 0)
    (cached,) = objective._cache.values()
    for reference in cached:
        frequencies = reference.distance.frequencies
        assert reference.bytes == reference.real.nbytes + frequencies.nbytes


@pytest.mark.parametrize("objective", ["features", "characteristic"])
@pytest.mark.parametrize("held", [0, 1])
def test_views_beyond_the_memory_are_read_from_a_file(matching, monkeypatch, objective, held):
    roomy = matching(views=4, objective=objective)
    wanted = [gradient(roomy, step) for step in range(9)]
    assert not _filed(roomy)
    size = sum(reference.bytes for reference in roomy._cache[0])
    monkeypatch.setattr("hmnpack.matching.features.HELD_VIEWS_BYTES", held * size)
    narrow = matching(views=4, objective=objective)
    for step, one in enumerate(wanted):
        torch.testing.assert_close(gradient(narrow, step), one, rtol=0, atol=0)
    assert len(_filed(narrow)) == 4 - held


def test_views_stay_in_memory_if_the_disk_is_full(matching, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hmnpack.matching.features.HELD_VIEWS_BYTES", 0)
    monkeypatch.setattr("hmnpack.matching.view_cache.TemporaryFile", fail)
    objective = matching(views=2)
    for step in range(4):
        objective.loss(container(), step)
    assert len(objective._cache) == 2
    assert not _filed(objective)


def test_temporary_file_does_not_need_the_cache_folder(matching, monkeypatch, tmp_path):
    monkeypatch.setattr("hmnpack.matching.features.HELD_VIEWS_BYTES", 0)
    objective = matching(views=2)
    objective._cache = ViewCache(0, tmp_path / "missing")
    objective.loss(container(), 0)
    assert len(_filed(objective)) == 1


def _filed(objective):
    """Return the views whose real features are in a file."""
    views = objective._cache._views.values()
    return [view for view in views if all(not isinstance(one, Reference) for one in view)]
