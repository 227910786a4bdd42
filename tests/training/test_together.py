"""Several networks at once end as each of them does alone."""

import pytest
import torch
from torch import nn

from hmnpack.augment import apply, cutmix, draw
from hmnpack.errors import BadSettings, Diverged
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import (
    EVERY,
    accuracies,
    accuracy,
    at_once_on,
    groups_of,
    side_by_side,
    train,
    train_together,
    within_memory,
)
from hmnpack.training.batches import augmented

NORMAL = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
NAMES = ("a", "b", "c")
ALL = TrainConfig(epochs=3, batch=8, lr=0.05, precision="float32")
PLAIN = ALL.model_copy(update={"augment": (), "cutmix": 0.0})
CPU = torch.device("cpu")


def convnets(count=3, dtype=torch.float64):
    image = ImageShape(channels=3, height=8, width=8)
    config = NetworkConfig(width=4, depth=2)
    starts = [stream(0, "net", index) for index in range(count)]
    return [
        build_network(config, classes=4, image=image, generator=start).to(dtype) for start in starts
    ]


class Normed(nn.Module):
    """With running statistics, and, if asked for, channels that are concatenated."""

    def __init__(self, concatenated=False):
        super().__init__()
        self.concatenated = concatenated
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.last = nn.Linear(6 * (1 + concatenated), 4)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu().mean((2, 3))
        return self.last(torch.cat([x, -x], 1) if self.concatenated else x)


def normed(concatenated=False):
    found = []
    for index in range(3):
        with seeded_rng(stream(0, "normed", index)):
            found.append(Normed(concatenated).double())
    return found


def images_of(index, count=21, dtype=torch.float64):
    """21 images are two batches of 8 and one of 5."""
    labels = torch.arange(count) % 4
    noise = torch.rand(count, 3, 8, 8, generator=stream(5, index)) * 0.5
    pixels = noise + 0.12 * labels.view(-1, 1, 1, 1)
    if dtype == torch.uint8:
        pixels = 255 * pixels
    return pixels.to(dtype), labels


def sets_of(dtype=torch.float64):
    return [images_of(index, dtype=dtype) for index in range(3)]


def together(networks, sets, config, **more):
    names = NAMES[: len(networks)]
    train_together(networks, sets, config, normalisation=NORMAL, seed=7, names=names, **more)
    return networks


def alone(networks, sets, config, **more):
    for network, (images, labels), name in zip(networks, sets, NAMES, strict=True):
        train(network, images, labels, config, normalisation=NORMAL, seed=7, name=name, **more)
    return networks


def same(some, others, tolerance=1e-8):
    for one, other in zip(some, others, strict=True):
        torch.testing.assert_close(
            one.state_dict(), other.state_dict(), rtol=tolerance, atol=tolerance
        )
    assert not torch.equal(*[torch.cat([p.flatten() for p in n.parameters()]) for n in some[:2]])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cutmix": 1.0, "augment": ("flip", "cutout")},
        {"cutmix": 0.0, "augment": ("crop", "scale", "rotate", "cutout")},
        {"schedule": "constant", "momentum": 0.0, "weight_decay": 0.0, "augment": ()},
        {"epochs": 0},
    ],
    ids=["all", "cut", "spatial", "plain", "none"],
)
def test_the_weights_are_those_of_each_alone(changes):
    config = ALL.model_copy(update=changes)
    found = together(convnets(), sets_of(), config)
    same(found, alone(convnets(), sets_of(), config))
    assert all(network.training for network in found)


def test_with_more_epochs_for_few_images():
    found = together(convnets(), sets_of(), PLAIN, min_steps=14)
    same(found, alone(convnets(), sets_of(), PLAIN, min_steps=14))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_in_float32_too_up_to_its_rounding(dtype):
    found = together(convnets(dtype=torch.float32), sets_of(dtype), ALL)
    same(found, alone(convnets(dtype=torch.float32), sets_of(dtype), ALL), 1e-4)


def test_in_bfloat16_too_up_to_its_rounding():
    config = ALL.model_copy(update={"precision": "bfloat16"})
    sets = sets_of(torch.float32)
    found = together(convnets(dtype=torch.float32), sets, config)
    same(found, alone(convnets(dtype=torch.float32), sets, config), 0.01)


def test_on_images_that_some_share():
    first, other = images_of(0), images_of(1)
    sets = [first, other, first]
    same(together(convnets(), sets, ALL), alone(convnets(), sets, ALL))
    shared = [first] * 3
    same(together(convnets(), shared, ALL), alone(convnets(), shared, ALL))
    assert torch.equal(first[0], images_of(0)[0])


def test_a_last_batch_of_one_with_batch_norm():
    sets = [images_of(index, count=17) for index in range(3)]
    config = TrainConfig(epochs=2, batch=8)
    same(together(normed(), sets, config), alone(normed(), sets, config))


def test_with_running_statistics():
    found, expected = together(normed(), sets_of(), ALL), alone(normed(), sets_of(), ALL)
    same(found, expected)
    assert [int(network.norm.num_batches_tracked) for network in found] == [9] * 3
    assert not torch.equal(found[0].norm.running_var, found[1].norm.running_var)


class Stop(Exception):
    pass


@pytest.mark.parametrize("make", [convnets, normed], ids=["convnets", "running statistics"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_resumed_after_an_epoch_they_end_as_ever(make, epochs):
    kept = []

    def stop(which, states):
        assert which == slice(0, 3)
        kept.append(states)
        if len(kept) == epochs:
            raise Stop

    with pytest.raises(Stop):
        together(make(), sets_of(), ALL, on_epoch=stop)
    states = kept[-1]
    assert [state.epoch for state in states] == [epochs] * 3
    found = together(make(), sets_of(), ALL, resume=states)
    same(found, together(make(), sets_of(), ALL), 0)
    networks = make()  # and each goes on alone from where it was with the others
    for network, own, state, name in zip(networks, sets_of(), states, NAMES, strict=True):
        train(network, *own, ALL, normalisation=NORMAL, seed=7, name=name, resume=state)
    same(found, networks)


def test_what_cannot_go_side_by_side_is_resumed_one_by_one():
    states, networks = [], normed(True)
    for network, own, name in zip(networks, sets_of(), NAMES, strict=True):
        mine = []
        train(network, *own, ALL, normalisation=NORMAL, seed=7, name=name, on_epoch=mine.append)
        states.append(mine[1])
    heard = []
    found = together(
        normed(True), sets_of(), ALL, resume=states, on_epoch=lambda *given: heard.append(given)
    )
    same(found, networks, 0)
    assert [which for which, _ in heard] == [slice(i, i + 1) for i in range(3)]
    assert {state.epoch for _, (state,) in heard} == {3}


def test_what_cannot_go_side_by_side_goes_one_by_one():
    heard = []
    found = together(normed(True), sets_of(), ALL, on_batch=lambda *given: heard.append(given))
    same(found, alone(normed(True), sets_of(), ALL), 0)
    assert [which for which, *_ in heard] == [slice(i, i + 1) for i in range(3) for _ in range(9)]
    assert {tuple(logits.shape) for _, _, logits, _ in heard} == {(1, 8, 4), (1, 5, 4)}


def test_one_network_is_trained_as_ever():
    sets = sets_of(torch.float32)[:1]
    (found,) = together(convnets(1, torch.float32), sets, ALL)
    (expected,) = convnets(1, torch.float32)
    train(expected, *sets[0], ALL, normalisation=NORMAL, seed=7, name="a")
    assert all(map(torch.equal, found.parameters(), expected.parameters()))


def test_who_hears_the_batches_hears_what_each_would_say_alone():
    heard, expected = [], []
    together(convnets(), sets_of(), ALL, on_batch=lambda *given: heard.append(given))
    alone(convnets(), sets_of(), ALL, on_batch=lambda *given: expected.append(given))
    assert len(heard) == 9
    for step, (which, rows, logits, labels) in enumerate(heard):
        assert which == slice(0, 3)
        for index in range(3):
            own_rows, own_logits, own_labels = expected[9 * index + step]
            assert torch.equal(rows[index], own_rows)
            assert torch.equal(labels[index], own_labels)
            torch.testing.assert_close(logits[index], own_logits, rtol=0, atol=1e-8)
    assert not heard[0][2].requires_grad


def test_the_listener_hears_the_epochs_of_all():
    heard, each = [], []
    together(convnets(), sets_of(), ALL, listener=lambda *a, **facts: heard.append((a, facts)))
    alone(convnets(), sets_of(), ALL, listener=lambda *a, **facts: each.append(facts))
    assert [given for given, _ in heard] == [("a", done, 9) for done in (3, 6, 9)]
    for epoch, (_, facts) in enumerate(heard):
        losses = [each[3 * index + epoch]["loss"] for index in range(3)]
        assert facts["loss"] == pytest.approx(sum(losses) / 3)
        assert facts["lr"] == each[epoch]["lr"]
    heard.clear()
    together(normed(True), sets_of(), ALL, listener=lambda *a, **_: heard.append(a))
    assert heard == [("a", done, 9) for done in range(1, 10)]


def test_divergence_names_the_network_and_changes_none():
    networks = convnets()
    with torch.no_grad():
        networks[1].classifier.bias[0] = float("inf")
    before = [value.clone() for value in networks[0].state_dict().values()]
    with pytest.raises(Diverged, match="b: the loss became nan at step 0; use a lower"):
        together(networks, sets_of(), ALL)
    assert all(map(torch.equal, before, networks[0].state_dict().values()))


@pytest.mark.parametrize("make", [convnets, normed], ids=["convnets", "running statistics"])
def test_accuracies_are_those_of_each_alone(make, monkeypatch):
    monkeypatch.setattr("hmnpack.training.testing._BATCH", 16)
    networks = together(make(), sets_of(), PLAIN)
    networks[2].eval()
    images, labels = images_of(9, 50)
    found = accuracies(networks, images, labels, normalisation=NORMAL)
    assert found == [accuracy(one, images, labels, normalisation=NORMAL) for one in networks]
    assert len(set(found)) > 1
    assert [network.training for network in networks] == [True, True, False]


def test_accuracies_of_what_cannot_go_side_by_side():
    images, labels = images_of(9, 50)
    networks = normed(True)
    found = accuracies(networks, images, labels, normalisation=NORMAL)
    assert found == [accuracy(one, images, labels, normalisation=NORMAL) for one in networks]


def test_a_batch_is_augmented_and_mixed_as_it_is_alone():
    """Bit by bit, also where networks differ in what is done to them."""
    images = torch.randn(4, 6, 3, 8, 8, generator=stream(0, "batch"))
    kinds, cuts = set(), set()
    for seed in range(6):
        both = [[stream(seed, index) for index in range(4)] for _ in range(2)]
        found, mix = augmented(images.clone(), ALL, both[0])
        for index, generator in enumerate(both[1]):
            draws = draw(ALL.augment, 6, generator, one_spatial=True)
            expected, partner, kept = apply(images[index], draws), torch.arange(6), 1.0
            if float(torch.rand((), generator=generator)) < ALL.cutmix:
                expected, partner, kept = cutmix(expected, generator)
            assert torch.equal(found[index], expected)
            if mix is not None:
                assert torch.equal(mix.partner[index], partner)
                assert float(mix.kept[index]) == kept
            kinds.add((draws.crop is None, draws.scale is None))
            cuts.add(kept == 1)
    assert (len(kinds), len(cuts)) == (3, 2)


@pytest.mark.parametrize(
    ("networks", "sets", "said"),
    [
        (convnets(2), sets_of(), "2 networks, 3 sets and 2 names"),
        ([], [], "0 networks, 0 sets and 0 names"),
        (convnets(2), [images_of(0), images_of(1, 20)], "sets of different numbers or kinds"),
        (convnets(2), [images_of(0), images_of(1, dtype=torch.float32)], "sets of different"),
        ([*convnets(1), *normed()[:1]], sets_of()[:2], "networks of different architectures"),
        ([normed()[0], normed(True)[0]], sets_of()[:2], "networks of different architectures"),
    ],
)
def test_what_does_not_go_together_is_refused(networks, sets, said):
    with pytest.raises(ValueError, match=said):
        together(networks, sets, PLAIN)


class TestGroups:
    def test_how_many_go_at_once(self):
        assert at_once_on(CPU) == 1
        assert at_once_on(torch.device("meta")) == EVERY
        assert at_once_on(CPU, 7) == at_once_on(torch.device("meta"), 7) == 7
        with pytest.raises(BadSettings, match="0 networks at once cannot be trained"):
            at_once_on(CPU, 0)

    @pytest.mark.parametrize(("name", "most"), [("convnet", EVERY), ("densenet121", 1)])
    def test_what_cannot_go_side_by_side_goes_alone(self, name, most):
        image = ImageShape(channels=1, height=16, width=16)
        config = NetworkConfig(name=name, width=4, depth=2)
        assert side_by_side(config, 3, image, EVERY) == most
        assert side_by_side(config, 3, image, 1) == 1

    def test_groups_keep_the_order(self):
        assert groups_of("abcde", 2) == ["ab", "cd", "e"]
        assert groups_of("abcde", EVERY) == ["abcde"]
        assert groups_of("", EVERY) == []

    def test_what_one_cannot_hold_nothing_can(self):
        def work(items):
            raise torch.OutOfMemoryError("CUDA out of memory")

        with pytest.raises(torch.OutOfMemoryError):
            within_memory("abc", work)
        assert within_memory("abc", str.upper) == ["A", "B", "C"]
