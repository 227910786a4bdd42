"""Probes: accuracy, schedule, and independence from the run."""

import math
from unittest.mock import Mock

import pytest
import torch

from hmnpack.condensing.probe import Probe, ProbeConfig, probe_accuracy
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, Diverged
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import COLOUR_CROP, ContainerConfig, NetworkConfig, TrainConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import accuracy, train

HALF = Normalisation(mean=(0.5,), std=(0.25,))
QUICK = ProbeConfig(width=4, steps=30, batch=16, lr=0.05, images=64, held_out=40)


def stripes(count, seed, classes=2):
    """Return noisy images [count, 1, 16, 16] whose class is the direction of their stripes."""
    labels = torch.arange(count) % classes
    wave = torch.arange(16) // 2 % 2 * 150
    upright = wave.expand(16, 16)
    shapes = torch.stack([upright, upright.T])[labels % 2]
    noise = torch.randint(0, 100, (count, 16, 16), generator=stream(seed, "noise"))
    return (shapes + noise).to(torch.uint8)[:, None], labels


def container(images, **changes):
    spec = images(classes=2, instances=24, **changes)
    return new_container(spec, ContainerConfig(), stream(0, "container"))


@pytest.fixture
def striped(images, image_shape):
    """A container with images of stripes, class by class."""
    made = container(images, image=image_shape(1, 16, 16))
    pixels, labels = stripes(48, 1)
    with torch.no_grad():
        made.pixels.copy_(pixels[labels.argsort(stable=True)] / 255)
    return made


def probe(count=1, config=QUICK, seed=0):
    return Probe(*stripes(60, 2), HALF, seed, count, config=config)


def test_accuracy_is_high_for_stripes_and_low_for_noise(striped, images, image_shape):
    noise = container(images, image=image_shape(1, 16, 16))
    assert probe()(striped) > 90
    assert probe()(noise) < 75


@pytest.mark.parametrize(
    "error", [Diverged("the loss became nan"), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_failed_training_gives_nan(striped, monkeypatch, error):
    monkeypatch.setattr("hmnpack.condensing.probe.probe_accuracy", Mock(side_effect=error))
    assert math.isnan(probe()(striped))


def test_other_errors_are_raised(striped, monkeypatch):
    monkeypatch.setattr(
        "hmnpack.condensing.probe.probe_accuracy", Mock(side_effect=RuntimeError("shapes"))
    )
    with pytest.raises(RuntimeError, match="shapes"):
        probe()(striped)


def test_accuracy_matches_training_a_small_network(image_shape):
    images, labels = stripes(40, 1)
    held_out = stripes(20, 2)
    found = probe_accuracy(images, labels, held_out, HALF, 3, QUICK)
    network = build_network(
        NetworkConfig(width=4, depth=2),
        classes=2,
        image=image_shape(1, 16, 16),
        generator=stream(3, "probe", "network"),
    )
    config = TrainConfig(epochs=10, batch=16, lr=0.05, augment=COLOUR_CROP, cutmix=0)
    train(network, images, labels, config, normalisation=HALF, seed=3, name="probe")
    assert found == accuracy(network, *held_out, normalisation=HALF)


@pytest.mark.parametrize(("side", "blocks"), [(2, 1), (8, 1), (16, 2), (32, 3), (64, 4)])
def test_network_depth_fits_the_image_size(monkeypatch, side, blocks):
    depths = []

    def build(config, **given):
        depths.append(config.depth)
        return build_network(config, **given)

    monkeypatch.setattr("hmnpack.condensing.probe.build_network", build)
    images = torch.rand(4, 1, side, side, generator=stream(0, "pixels"))
    labels = torch.tensor([0, 1, 0, 1])
    once = ProbeConfig(width=2, steps=1, batch=4)
    assert 0 <= probe_accuracy(images, labels, (images, labels), HALF, 0, once) <= 100
    assert depths == [blocks]


def test_probe_is_reproducible_and_modifies_nothing(striped):
    before = {name: value.clone() for name, value in striped.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert probe()(striped) == probe()(striped)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert all(torch.equal(before[name], value) for name, value in striped.state_dict().items())
    assert striped.pixels.requires_grad
    assert striped.pixels.grad is None


def test_frozen_container_is_not_modified(hmn, image_shape):
    spec = hmn(instances=8, image=image_shape(1, 16, 16))
    made = new_container(spec, ContainerConfig(), stream(0, "container"))
    made.freeze()
    before = {name: torch.as_tensor(value).clone() for name, value in made.state_dict().items()}
    assert 0 <= probe()(made) <= 100
    for name, value in made.state_dict().items():
        assert torch.equal(before[name], torch.as_tensor(value))


def test_numbers_of_decoded_and_tested_images_are_limited(striped, monkeypatch):
    seen = []

    def counted(images, labels, held_out, *rest):
        seen.append((torch.bincount(labels).tolist(), len(held_out[0]), len(held_out[1])))
        same = [(striped.pixels == image).flatten(1).all(1).nonzero().item() for image in images]
        assert len(set(same)) == len(same)
        assert [row // 24 for row in same] == labels.tolist()
        return 50.0

    monkeypatch.setattr("hmnpack.condensing.probe.probe_accuracy", counted)
    for most in (1, 11, 64):
        config = ProbeConfig(images=most, held_out=5 * most)
        assert probe(config=config)(striped) == 50.0
    assert seen == [([1, 1], 5, 5), ([5, 5], 55, 55), ([24, 24], 60, 60)]


def test_held_out_images_depend_on_the_seed():
    labels = torch.arange(100)
    images = torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1)
    drawn = [Probe(images, labels, HALF, seed, 1, config=QUICK)._held_out for seed in (0, 0, 1)]
    assert len(set(drawn[0][1].tolist())) == 40
    assert torch.equal(drawn[0][0].flatten(), drawn[0][1])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][1], drawn[2][1])


def test_diverged_probe_gives_nan(striped):
    with torch.no_grad():
        striped.pixels[0] = float("nan")
    assert math.isnan(probe()(striped))


@pytest.mark.parametrize(
    ("count", "total", "steps"),
    [(0, 10, []), (1, 10, [10]), (2, 10, [5, 10]), (3, 10, [4, 7, 10]), (20, 3, [1, 2, 3])],
)
def test_due_steps_are_even_and_include_the_last(count, total, steps):
    due = probe(count).due
    assert [step for step in range(1, total + 1) if due(step, total)] == steps


def test_missing_held_out_images_are_rejected():
    images, labels = stripes(0, 0)
    with pytest.raises(BadSettings, match="held-out images, but this run holds out none"):
        Probe(images, labels, HALF, 0, 1)
