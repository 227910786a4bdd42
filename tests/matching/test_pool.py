import dataclasses

import pytest
import torch

from hmnpack.errors import BadSettings, Paused
from hmnpack.matching import load_or_train_pool
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.training import train


def final(pool):
    """Return the trained weights of every network, by name."""
    return [pool.trained(index).state_dict() for index in range(len(pool))]


def initial(pool):
    return [pool.initial(index) for index in range(len(pool))]


def same(first, second):
    return all(
        torch.equal(one[name], other[name])
        for of in (initial, final)
        for one, other in zip(of(first), of(second), strict=True)
        for name in one
    )


def test_networks_differ_and_are_loaded_from_the_cache(real, pool_config, tmp_path):
    epochs = []
    first = load_or_train_pool(
        real, pool_config, 0, tmp_path, lambda *facts, **_: epochs.append(facts)
    )
    assert len(first) == 2
    assert len(epochs) == 4
    weights = [network["blocks.0.conv.weight"] for network in final(first)]
    assert not torch.equal(*weights)
    assert same(
        first, load_or_train_pool(real, pool_config, 0, tmp_path, lambda *_, **__: pytest.fail())
    )


def test_networks_are_initialised_and_trained_by_the_settings(real, pool_config, tmp_path):
    config = pool_config.model_copy(update={"min_steps": 13})  # 6 per epoch
    pool = load_or_train_pool(real, config, 5, tmp_path)
    assert not torch.equal(*(start["classifier.weight"] for start in initial(pool)))
    for index, (start, found) in enumerate(zip(initial(pool), final(pool), strict=True)):
        network = build_network(
            config.network,
            classes=real.classes,
            image=real.shape,
            generator=stream(5, "pool", index),
        )
        for name, value in network.state_dict().items():
            assert torch.equal(value, start[name])
        train(
            network,
            real.images,
            real.labels,
            config.train.model_copy(update={"epochs": 3}),
            normalisation=real.normalisation,
            seed=5,
            name=f"pool network {index + 1}",
        )
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, found[name], rtol=1e-4, atol=1e-6)


def test_cache_key_covers_data_settings_and_seed(real, pool_config, tmp_path):
    wider = pool_config.model_copy(
        update={"network": pool_config.network.model_copy(update={"width": 5})}
    )
    other = dataclasses.replace(real, fingerprint="other")
    for number, given in enumerate(
        [(real, pool_config, 0), (other, pool_config, 0), (real, wider, 0), (real, pool_config, 1)]
    ):
        load_or_train_pool(*given, tmp_path)
        assert len(list(tmp_path.glob("*.pt"))) == 2 * (number + 1)


def test_larger_pool_reuses_cached_networks(real, pool_config, tmp_path):
    load_or_train_pool(real, pool_config.model_copy(update={"size": 1}), 0, tmp_path)
    events = set()
    load_or_train_pool(real, pool_config, 0, tmp_path, lambda stage, *_, **__: events.add(stage))
    assert events == {"pool network 2"}


def test_interrupted_training_resumes(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    uninterrupted = load_or_train_pool(real, pool_config, 0, tmp_path / "uninterrupted")
    for _ in range(4):
        with pytest.raises(Paused):
            load_or_train_pool(real, pool_config, 0, tmp_path / "resumed", after_epoch=stop)
    resumed = load_or_train_pool(real, pool_config, 0, tmp_path / "resumed", after_epoch=stop)
    assert same(uninterrupted, resumed)
    assert not list((tmp_path / "resumed").glob("*.part"))


def assert_close_pools(first, second):
    """Assert equal weights up to rounding (sums in a different order)."""
    for one, other in zip(final(first), final(second), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_batched_training_matches_separate_training(real, pool_config, tmp_path):
    alone = load_or_train_pool(real, pool_config, 0, tmp_path / "alone")
    events = []
    batched = load_or_train_pool(
        real, pool_config, 0, tmp_path / "x", lambda *event, **_: events.append(event), at_once=2
    )
    assert events == [("pool network 1", 2, 4), ("pool network 1", 4, 4)]
    assert_close_pools(alone, batched)
    assert same(batched, load_or_train_pool(real, pool_config, 0, tmp_path / "x"))


def test_interrupted_batched_training_resumes_batched_or_separately(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    uninterrupted = load_or_train_pool(real, pool_config, 0, tmp_path / "uninterrupted", at_once=2)
    for then in (2, 1):
        folder, events = tmp_path / str(then), []
        with pytest.raises(Paused):
            load_or_train_pool(real, pool_config, 0, folder, after_epoch=stop, at_once=2)
        assert len(list(folder.glob("*.part"))) == 2
        resumed = load_or_train_pool(
            real,
            pool_config,
            0,
            folder,
            lambda *event, log=events, **_: log.append(event),
            at_once=then,
        )
        assert len(events) == (1 if then == 2 else 2)
        assert_close_pools(uninterrupted, resumed)
        assert not list(folder.glob("*.part"))


def test_network_ahead_of_the_others_is_trained_separately(real, pool_config, tmp_path):
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 1:
            raise Paused("now")

    with pytest.raises(Paused):
        load_or_train_pool(real, pool_config, 0, tmp_path, after_epoch=stop)
    events = []
    pool = load_or_train_pool(
        real, pool_config, 0, tmp_path, lambda *event, **_: events.append(event), at_once=2
    )
    assert events == [("pool network 1", done, 4) for done in (2, 3, 4)]
    assert same(pool, load_or_train_pool(real, pool_config, 0, tmp_path / "alone"))


def test_between_interpolates_weights(real, pool_config, tmp_path):
    pool = load_or_train_pool(real, pool_config, 0, tmp_path)
    for part, expected in ((0.0, final(pool)[1]), (1.0, pool.initial(1))):
        mixed = pool.between(1, part).state_dict()
        assert all(torch.equal(mixed[name], value) for name, value in expected.items())
    quarter = pool.between(0, 0.25).state_dict()["classifier.weight"]
    end, start = (weights["classifier.weight"] for weights in (final(pool)[0], pool.initial(0)))
    torch.testing.assert_close(quarter, 0.75 * end + 0.25 * start)


def test_network_without_features_is_rejected_before_training(real, pool_config, tmp_path):
    network = pool_config.network.model_copy(update={"name": "torchvision:resnet18"})
    config = pool_config.model_copy(update={"network": network})
    with pytest.raises(
        BadSettings, match=r"resnet18' exposes no block features.*convnet or resnet-ap"
    ):
        load_or_train_pool(real, config, 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_resnet_ap_pool_exposes_features(real, pool_config, tmp_path):
    network = pool_config.network.model_copy(update={"name": "resnet-ap"})
    train = pool_config.train.model_copy(update={"epochs": 1, "batch": 42})
    config = pool_config.model_copy(update={"network": network, "train": train, "size": 1})
    pool = load_or_train_pool(real, config, 0, tmp_path)
    assert len(pool.trained(0).features(real.images[:2].float())) > 1


def test_damaged_cached_network_is_retrained(real, pool_config, tmp_path):
    original = load_or_train_pool(real, pool_config, 3, tmp_path)
    path = min(tmp_path.glob("*.pt"))
    before = path.read_bytes()
    path.write_bytes(before[:99])
    again = load_or_train_pool(real, pool_config, 3, tmp_path)
    for index in range(2):
        for name, value in original.trained(index).state_dict().items():
            assert torch.equal(again.trained(index).state_dict()[name], value)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_training_state_is_named_in_the_error(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    with pytest.raises(Paused):
        load_or_train_pool(real, pool_config, 0, tmp_path, after_epoch=stop)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(BadSettings, match=f"cannot read .*{path.name}; delete it"):
        load_or_train_pool(real, pool_config, 0, tmp_path)


def test_unwritable_cache_is_rejected_before_training(real, pool_config, tmp_path):
    (tmp_path / "file").touch()
    events = []
    with pytest.raises(
        BadSettings, match=r"cannot write to the cache .*--cache-dir or HMNPACK_CACHE"
    ):
        load_or_train_pool(
            real, pool_config, 3, tmp_path / "file", lambda *event, **_: events.append(event)
        )
    assert events == []
