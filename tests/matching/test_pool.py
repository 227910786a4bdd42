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


def test_networks_differ_and_come_back_from_the_cache(real, pool_config, tmp_path):
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


def test_networks_start_anew_and_are_trained_as_the_settings_say(real, pool_config, tmp_path):
    config = pool_config.model_copy(update={"min_steps": 13})  # of 6 an epoch
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


def test_what_decides_a_network_decides_its_file(real, pool_config, tmp_path):
    wider = pool_config.model_copy(
        update={"network": pool_config.network.model_copy(update={"width": 5})}
    )
    other = dataclasses.replace(real, fingerprint="other")
    for number, given in enumerate(
        [(real, pool_config, 0), (other, pool_config, 0), (real, wider, 0), (real, pool_config, 1)]
    ):
        load_or_train_pool(*given, tmp_path)
        assert len(list(tmp_path.glob("*.pt"))) == 2 * (number + 1)


def test_a_larger_pool_keeps_the_networks_of_a_smaller(real, pool_config, tmp_path):
    load_or_train_pool(real, pool_config.model_copy(update={"size": 1}), 0, tmp_path)
    heard = set()
    load_or_train_pool(real, pool_config, 0, tmp_path, lambda stage, *_, **__: heard.add(stage))
    assert heard == {"pool network 2"}


def test_an_interrupted_network_goes_on_where_it_was(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    whole = load_or_train_pool(real, pool_config, 0, tmp_path / "whole")
    for _ in range(4):
        with pytest.raises(Paused):
            load_or_train_pool(real, pool_config, 0, tmp_path / "pieces", after_epoch=stop)
    pieces = load_or_train_pool(real, pool_config, 0, tmp_path / "pieces", after_epoch=stop)
    assert same(whole, pieces)
    assert not list((tmp_path / "pieces").glob("*.part"))


def alike(first, second):
    """Up to the rounding of sums that are added in another order."""
    for one, other in zip(final(first), final(second), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_trained_at_once_they_are_those_of_each_alone(real, pool_config, tmp_path):
    alone = load_or_train_pool(real, pool_config, 0, tmp_path / "alone")
    heard = []
    together = load_or_train_pool(
        real, pool_config, 0, tmp_path / "x", lambda *said, **_: heard.append(said), at_once=2
    )
    assert heard == [("pool network 1", 2, 4), ("pool network 1", 4, 4)]
    alike(alone, together)
    assert same(together, load_or_train_pool(real, pool_config, 0, tmp_path / "x"))


def test_interrupted_at_once_they_go_on_at_once_or_alone(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    whole = load_or_train_pool(real, pool_config, 0, tmp_path / "whole", at_once=2)
    for then in (2, 1):
        folder, heard = tmp_path / str(then), []
        with pytest.raises(Paused):
            load_or_train_pool(real, pool_config, 0, folder, after_epoch=stop, at_once=2)
        assert len(list(folder.glob("*.part"))) == 2
        pieces = load_or_train_pool(
            real, pool_config, 0, folder, lambda *said, h=heard, **_: h.append(said), at_once=then
        )
        assert len(heard) == (1 if then == 2 else 2)
        alike(whole, pieces)
        assert not list(folder.glob("*.part"))


def test_one_that_is_ahead_is_trained_by_itself(real, pool_config, tmp_path):
    asked = []

    def stop():
        asked.append(1)
        if len(asked) == 1:
            raise Paused("now")

    with pytest.raises(Paused):
        load_or_train_pool(real, pool_config, 0, tmp_path, after_epoch=stop)
    heard = []
    pool = load_or_train_pool(
        real, pool_config, 0, tmp_path, lambda *s, **_: heard.append(s), at_once=2
    )
    assert heard == [("pool network 1", done, 4) for done in (2, 3, 4)]
    assert same(pool, load_or_train_pool(real, pool_config, 0, tmp_path / "alone"))


def test_mixtures_of_weights(real, pool_config, tmp_path):
    pool = load_or_train_pool(real, pool_config, 0, tmp_path)
    for part, expected in ((0.0, final(pool)[1]), (1.0, pool.initial(1))):
        mixed = pool.between(1, part).state_dict()
        assert all(torch.equal(mixed[name], value) for name, value in expected.items())
    quarter = pool.between(0, 0.25).state_dict()["classifier.weight"]
    end, start = (weights["classifier.weight"] for weights in (final(pool)[0], pool.initial(0)))
    torch.testing.assert_close(quarter, 0.75 * end + 0.25 * start)


def test_a_network_without_features_is_refused_before_any_training(real, pool_config, tmp_path):
    network = pool_config.network.model_copy(update={"name": "torchvision:resnet18"})
    config = pool_config.model_copy(update={"network": network})
    with pytest.raises(BadSettings, match=r"resnet18' gives no features.*convnet or resnet-ap"):
        load_or_train_pool(real, config, 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_resnet_can_be_matched_through(real, pool_config, tmp_path):
    network = pool_config.network.model_copy(update={"name": "resnet-ap"})
    train = pool_config.train.model_copy(update={"epochs": 1, "batch": 42})
    config = pool_config.model_copy(update={"network": network, "train": train, "size": 1})
    pool = load_or_train_pool(real, config, 0, tmp_path)
    assert len(pool.trained(0).features(real.images[:2].float())) > 1


def test_a_damaged_network_in_the_cache_is_made_again(real, pool_config, tmp_path):
    whole = load_or_train_pool(real, pool_config, 3, tmp_path)
    path = min(tmp_path.glob("*.pt"))
    before = path.read_bytes()
    path.write_bytes(before[:99])
    again = load_or_train_pool(real, pool_config, 3, tmp_path)
    for index in range(2):
        for name, value in whole.trained(index).state_dict().items():
            assert torch.equal(again.trained(index).state_dict()[name], value)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_training_is_named(real, pool_config, tmp_path):
    def stop():
        raise Paused("now")

    with pytest.raises(Paused):
        load_or_train_pool(real, pool_config, 0, tmp_path, after_epoch=stop)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(BadSettings, match=f"cannot read .*{path.name}; delete it"):
        load_or_train_pool(real, pool_config, 0, tmp_path)


def test_a_cache_that_cannot_be_written_is_refused_before_any_training(real, pool_config, tmp_path):
    (tmp_path / "file").touch()
    heard = []
    with pytest.raises(BadSettings, match="cannot write to the work directory"):
        load_or_train_pool(real, pool_config, 3, tmp_path / "file", lambda *a, **_: heard.append(a))
    assert heard == []
