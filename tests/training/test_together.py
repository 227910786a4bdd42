"""Batched training yields the weights of separate trainings."""

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
    """With running statistics and, optionally, concatenated channels, which prevent stacking."""

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
    """Labelled images; the default count gives two batches of 8 and one of 5."""
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


def separately(networks, sets, config, **more):
    for network, (images, labels), name in zip(networks, sets, NAMES, strict=True):
        train(network, images, labels, config, normalisation=NORMAL, seed=7, name=name, **more)
    return networks


def assert_same_weights(some, others, tolerance=1e-8):
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
def test_weights_equal_those_of_separate_trainings(changes):
    config = ALL.model_copy(update=changes)
    found = together(convnets(), sets_of(), config)
    assert_same_weights(found, separately(convnets(), sets_of(), config))
    assert all(network.training for network in found)


def test_weights_equal_separate_ones_with_min_steps():
    found = together(convnets(), sets_of(), PLAIN, min_steps=14)
    assert_same_weights(found, separately(convnets(), sets_of(), PLAIN, min_steps=14))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_weights_in_float32_are_close_to_separate_ones(dtype):
    found = together(convnets(dtype=torch.float32), sets_of(dtype), ALL)
    assert_same_weights(found, separately(convnets(dtype=torch.float32), sets_of(dtype), ALL), 1e-4)


def test_weights_in_bfloat16_are_close_to_separate_ones():
    config = ALL.model_copy(update={"precision": "bfloat16"})
    sets = sets_of(torch.float32)
    found = together(convnets(dtype=torch.float32), sets, config)
    assert_same_weights(found, separately(convnets(dtype=torch.float32), sets, config), 0.01)


def test_weights_equal_separate_ones_with_shared_images():
    first, other = images_of(0), images_of(1)
    sets = [first, other, first]
    assert_same_weights(together(convnets(), sets, ALL), separately(convnets(), sets, ALL))
    shared = [first] * 3
    assert_same_weights(together(convnets(), shared, ALL), separately(convnets(), shared, ALL))
    assert torch.equal(first[0], images_of(0)[0])


def test_weights_equal_separate_ones_with_batch_norm_and_a_remainder_of_one():
    sets = [images_of(index, count=17) for index in range(3)]
    config = TrainConfig(epochs=2, batch=8)
    assert_same_weights(together(normed(), sets, config), separately(normed(), sets, config))


def test_running_statistics_equal_separate_ones():
    found, expected = together(normed(), sets_of(), ALL), separately(normed(), sets_of(), ALL)
    assert_same_weights(found, expected)
    assert [int(network.norm.num_batches_tracked) for network in found] == [9] * 3
    assert not torch.equal(found[0].norm.running_var, found[1].norm.running_var)


class Stop(Exception):
    pass


@pytest.mark.parametrize("make", [convnets, normed], ids=["convnets", "running statistics"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_training_resumed_after_an_epoch_ends_with_the_same_weights(make, epochs):
    saved = []

    def stop(which, states):
        assert which == slice(0, 3)
        saved.append(states)
        if len(saved) == epochs:
            raise Stop

    with pytest.raises(Stop):
        together(make(), sets_of(), ALL, on_epoch=stop)
    states = saved[-1]
    assert [state.epoch for state in states] == [epochs] * 3
    found = together(make(), sets_of(), ALL, resume=states)
    assert_same_weights(found, together(make(), sets_of(), ALL), 0)
    networks = make()  # each can also resume separately
    for network, own, state, name in zip(networks, sets_of(), states, NAMES, strict=True):
        train(network, *own, ALL, normalisation=NORMAL, seed=7, name=name, resume=state)
    assert_same_weights(found, networks)


def test_networks_that_cannot_be_stacked_resume_sequentially():
    states, networks = [], normed(True)
    for network, own, name in zip(networks, sets_of(), NAMES, strict=True):
        mine = []
        train(network, *own, ALL, normalisation=NORMAL, seed=7, name=name, on_epoch=mine.append)
        states.append(mine[1])
    calls = []
    found = together(
        normed(True), sets_of(), ALL, resume=states, on_epoch=lambda *given: calls.append(given)
    )
    assert_same_weights(found, networks, 0)
    assert [which for which, _ in calls] == [slice(i, i + 1) for i in range(3)]
    assert {state.epoch for _, (state,) in calls} == {3}


def test_networks_that_cannot_be_stacked_are_trained_sequentially():
    calls = []
    found = together(normed(True), sets_of(), ALL, on_batch=lambda *given: calls.append(given))
    assert_same_weights(found, separately(normed(True), sets_of(), ALL), 0)
    assert [which for which, *_ in calls] == [slice(i, i + 1) for i in range(3) for _ in range(9)]
    assert {tuple(logits.shape) for _, _, logits, _ in calls} == {(1, 8, 4), (1, 5, 4)}


def test_a_single_network_has_identical_weights():
    sets = sets_of(torch.float32)[:1]
    (found,) = together(convnets(1, torch.float32), sets, ALL)
    (expected,) = convnets(1, torch.float32)
    train(expected, *sets[0], ALL, normalisation=NORMAL, seed=7, name="a")
    assert all(map(torch.equal, found.parameters(), expected.parameters()))


def test_on_batch_arguments_equal_those_of_separate_trainings():
    calls, expected = [], []
    together(convnets(), sets_of(), ALL, on_batch=lambda *given: calls.append(given))
    separately(convnets(), sets_of(), ALL, on_batch=lambda *given: expected.append(given))
    assert len(calls) == 9
    for step, (which, rows, logits, labels) in enumerate(calls):
        assert which == slice(0, 3)
        for index in range(3):
            own_rows, own_logits, own_labels = expected[9 * index + step]
            assert torch.equal(rows[index], own_rows)
            assert torch.equal(labels[index], own_labels)
            torch.testing.assert_close(logits[index], own_logits, rtol=0, atol=1e-8)
    assert not calls[0][2].requires_grad


def test_listener_is_called_with_the_epochs_of_all_networks():
    calls, each = [], []
    together(convnets(), sets_of(), ALL, listener=lambda *a, **facts: calls.append((a, facts)))
    separately(convnets(), sets_of(), ALL, listener=lambda *a, **facts: each.append(facts))
    assert [given for given, _ in calls] == [("a", done, 9) for done in (3, 6, 9)]
    for epoch, (_, facts) in enumerate(calls):
        losses = [each[3 * index + epoch]["loss"] for index in range(3)]
        assert facts["loss"] == pytest.approx(sum(losses) / 3)
        assert facts["lr"] == each[epoch]["lr"]
    calls.clear()
    together(normed(True), sets_of(), ALL, listener=lambda *a, **_: calls.append(a))
    assert calls == [("a", done, 9) for done in range(1, 10)]


def test_divergence_names_the_training_and_changes_no_network():
    networks = convnets()
    with torch.no_grad():
        networks[1].classifier.bias[0] = float("inf")
    before = [value.clone() for value in networks[0].state_dict().values()]
    with pytest.raises(Diverged, match="b: the loss became nan at step 0; use a lower"):
        together(networks, sets_of(), ALL)
    assert all(map(torch.equal, before, networks[0].state_dict().values()))


@pytest.mark.parametrize("make", [convnets, normed], ids=["convnets", "running statistics"])
def test_accuracies_equal_those_of_separate_tests(make, monkeypatch):
    monkeypatch.setattr("hmnpack.training.testing._BATCH", 16)
    networks = together(make(), sets_of(), PLAIN)
    networks[2].eval()
    images, labels = images_of(9, 50)
    found = accuracies(networks, images, labels, normalisation=NORMAL)
    assert found == [accuracy(one, images, labels, normalisation=NORMAL) for one in networks]
    assert len(set(found)) > 1
    assert [network.training for network in networks] == [True, True, False]


def test_accuracies_of_networks_that_cannot_be_stacked():
    images, labels = images_of(9, 50)
    networks = normed(True)
    found = accuracies(networks, images, labels, normalisation=NORMAL)
    assert found == [accuracy(one, images, labels, normalisation=NORMAL) for one in networks]


def test_stacked_augmentation_and_cutmix_equal_separate_ones():
    """Bit by bit, also if the augmentations of the networks differ."""
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
    ("networks", "sets", "message"),
    [
        (convnets(2), sets_of(), "2 networks, 3 sets and 2 names"),
        ([], [], "0 networks, 0 sets and 0 names"),
        (convnets(2), [images_of(0), images_of(1, 20)], "sets differ in the shape or dtype"),
        (convnets(2), [images_of(0), images_of(1, dtype=torch.float32)], "sets differ in"),
        ([*convnets(1), *normed()[:1]], sets_of()[:2], "networks have different architectures"),
        ([normed()[0], normed(True)[0]], sets_of()[:2], "networks have different architectures"),
    ],
)
def test_networks_and_sets_that_do_not_match_are_rejected(networks, sets, message):
    with pytest.raises(ValueError, match=message):
        together(networks, sets, PLAIN)


class TestGroups:
    def test_at_once_on_depends_on_the_device_unless_given(self):
        assert at_once_on(CPU) == 1
        assert at_once_on(torch.device("meta")) == EVERY
        assert at_once_on(CPU, 7) == at_once_on(torch.device("meta"), 7) == 7
        with pytest.raises(BadSettings, match="at_once must be 1 or more networks, got 0"):
            at_once_on(CPU, 0)

    @pytest.mark.parametrize(("name", "most"), [("convnet", EVERY), ("densenet121", 1)])
    def test_networks_that_cannot_be_stacked_are_trained_one_at_a_time(self, name, most):
        image = ImageShape(channels=1, height=16, width=16)
        config = NetworkConfig(name=name, width=4, depth=2)
        assert side_by_side(config, 3, image, EVERY) == most
        assert side_by_side(config, 3, image, 1) == 1

    def test_groups_of_preserves_the_order(self):
        assert groups_of("abcde", 2) == ["ab", "cd", "e"]
        assert groups_of("abcde", EVERY) == ["abcde"]
        assert groups_of("", EVERY) == []

    def test_within_memory_raises_if_a_single_item_does_not_fit(self):
        def work(items):
            raise torch.OutOfMemoryError("CUDA out of memory")

        with pytest.raises(torch.OutOfMemoryError):
            within_memory("abc", work)
        assert within_memory("abc", str.upper) == ["A", "B", "C"]
