"""Gradient matching against the reference implementation: losses, gradients, network training."""

from types import SimpleNamespace

import pytest
import torch

from hmnpack.augment import draw
from hmnpack.container import HMN, new_container
from hmnpack.matching import GradientMatching, Match
from hmnpack.matching.distances import GRADIENT_DISTANCES
from hmnpack.matching.gradient import _summed
from hmnpack.matching.sampling import EpochSampler, choose_instances
from hmnpack.networks import build_network
from hmnpack.networks import derivatives as derivatives_module
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import (
    COLOUR_CROP,
    ContainerConfig,
    GradientConfig,
    NetworkConfig,
    TrainConfig,
)
from hmnpack.schema.container import HmnSpec, ImageShape, ImagesSpec
from hmnpack.training import train

IMAGE = ImageShape(channels=3, height=16, width=16)
IMAGES = ImagesSpec(classes=3, instances=4, image=IMAGE)
SPEC = HmnSpec(
    classes=3,
    instances=4,
    image=IMAGE,
    grid=4,
    dataset_channels=3,
    class_channels=2,
    instance_channels=2,
    extractor_channels=2,
    decoder_channels=(4,),
    activation="relu",
)
SMALL = GradientConfig(
    networks=2,
    inner_steps=3,
    network=NetworkConfig(width=4, depth=2),
    train_images=20,
    train=TrainConfig(epochs=0, batch=8, schedule="constant", augment=COLOUR_CROP),
    real_batch=5,
    synthetic_batch=3,
)


def changed(config, **values):
    return config.model_copy(update=values)


def new_hmn(norm):
    container = new_container(SPEC, ContainerConfig(norm=norm), stream(1, "container")).double()
    assert isinstance(container, HMN)
    container.freeze()
    return container


def ready(real, config):
    """Return an objective whose networks are converted to float64."""
    objective = GradientMatching(Match(real, None, config, 5))
    begin = objective.learner.begin

    def begin_double(number):
        begin(number)
        objective.learner.network.double()

    objective.learner.begin = begin_double
    return objective


def literal_inputs(real, config, container, step):
    """Return the real and synthetic images of a step, and its augmentation draws."""
    generator = stream(5, "gradient", "step", step)
    draws = draw(config.augment, 3, generator)
    chosen = choose_instances(container.spec, config.synthetic_batch, generator)
    rows = EpochSampler(real.labels, range(3), config.real_batch, 5).batch(step)
    return real.images[rows].double() / 255, container.expand()[chosen], draws


@pytest.mark.parametrize(
    ("name", "distance", "norm"),
    [
        ("convnet", "mse", "batch"),
        ("convnet", "l1", "batch"),
        ("convnet", "mse", "none"),
        ("resnet-ap", "l1", "batch"),
        ("resnet-ap", "mse", "none"),
    ],
)
@pytest.mark.slow
def test_loss_and_gradients_match_the_reference(real, literal, name, distance, norm):
    network = NetworkConfig(name=name, width=4, depth=2)
    counts = {"real_batch": 2, "synthetic_batch": 2} if name == "resnet-ap" else {}
    config = changed(SMALL, network=network, distance=distance, train_images=0, **counts)
    objective, ours, theirs = ready(real, config), new_hmn(norm), new_hmn(norm)
    for step in (0, 1) if name == "convnet" else (0,):
        loss = objective.loss(ours, step)
        loss.backward()
        images, synthetic, draws = literal_inputs(real, config, theirs, step)
        network = objective.learner.network
        network = literal.PlainConvNet(network) if name == "convnet" else network
        expected = literal.literal_loss(
            network, images, synthetic, draws, real.normalisation, distance
        )
        expected.backward()
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    for (label, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert b.grad.abs().sum() > 0, label
        scale = float(b.grad.abs().max())
        torch.testing.assert_close(a.grad / scale, b.grad / scale, rtol=0, atol=1e-9)


@pytest.mark.parametrize("distance", ["mse", "l1"])
def test_derivative_of_each_distance_passes_gradcheck(distance):
    difference = torch.randn(2, 3, 4, dtype=torch.float64, generator=stream(0, "d"))
    difference.requires_grad_()
    value, derivative = GRADIENT_DISTANCES[distance](difference)
    assert torch.autograd.gradcheck(lambda d: GRADIENT_DISTANCES[distance](d)[0], [difference])
    torch.testing.assert_close(torch.autograd.grad(value, difference)[0], derivative)


def test_network_training_matches_the_reference(real, literal):
    objective = GradientMatching(Match(real, None, SMALL, 5))
    container = new_container(IMAGES, ContainerConfig(), stream(0, "container"))
    losses_of(objective, container, 2)
    twin = build_network(
        SMALL.network, classes=3, image=IMAGE, generator=stream(5, "gradient", "network", 0)
    )
    order = torch.randperm(42, generator=stream(5, "gradient", "order", 0, 0))[:24]
    literal.literal_training(
        literal.PlainConvNet(twin),
        literal.new_optimiser(twin),
        real.images[order].float() / 255,
        real.labels[order],
        normalisation=real.normalisation,
        generator=stream(5, "gradient", "train", 0),
        batch=8,
    )
    for a, b in zip(objective.learner.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_training_epochs_span_several_steps(real):
    objective = GradientMatching(Match(real, None, SMALL, 5))
    objective.learner.begin(0)
    batches = [rows for inner in range(2) for rows in objective.learner._batches(inner)]
    assert [len(rows) for rows in batches] == [8] * 6
    first_epoch = torch.cat(batches[:5])  # 42 images: five batches of 8, two dropped
    assert len(first_epoch.unique()) == 40


def losses_of(objective, container, steps=4):
    return [float(objective.loss(container, step).detach()) for step in range(steps)]


def test_new_network_starts_after_the_inner_steps(real):
    objective = GradientMatching(Match(real, None, SMALL, 5))
    container = new_container(IMAGES, ContainerConfig(), stream(0, "container"))
    losses_of(objective, container, 3)
    old = objective.learner.network
    objective.loss(container, 3)
    assert objective.learner.number == 1
    assert objective.learner.network is not old


def test_restored_state_gives_the_same_losses(real):
    container = new_container(IMAGES, ContainerConfig(), stream(0, "container"))
    whole = GradientMatching(Match(real, None, SMALL, 5))
    expected = losses_of(whole, container, 5)
    stopped = GradientMatching(Match(real, None, SMALL, 5))
    losses_of(stopped, container, 2)
    resumed = GradientMatching(Match(real, None, SMALL, 5))
    resumed.restore(stopped.state())
    found = [float(resumed.loss(container, step).detach()) for step in (2, 3, 4)]
    assert found == expected[2:]


@pytest.mark.parametrize("size", [1, 2 * 4 * 256, 10**9])
def test_slice_size_does_not_change_results(real, monkeypatch, size):
    config, found = changed(SMALL, train_images=0), []
    for slice_ in (derivatives_module._SLICE, size):
        monkeypatch.setattr(derivatives_module, "_SLICE", slice_)
        container = new_hmn("batch")
        loss = ready(real, config).loss(container, 0)
        loss.backward()
        found.append((loss.detach(), container.instance.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("at_once", [2, 3])
def test_chunk_size_does_not_change_results(real, monkeypatch, at_once):
    config, found = changed(SMALL, train_images=0), []
    for count in (1, at_once):
        monkeypatch.setattr(
            "hmnpack.matching.gradient.gradient_classes", lambda *_, k=count, **__: k
        )
        container = new_hmn("none")
        loss = ready(real, config).loss(container, 0)
        loss.backward()
        found.append((loss.detach(), container.instance.grad, container.dataset.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-14)


def test_out_of_memory_step_is_repeated_with_smaller_chunks(real, monkeypatch):
    monkeypatch.setattr("hmnpack.matching.gradient.gradient_classes", lambda *_, **__: 3)
    config, found = changed(SMALL, train_images=0), []
    matched = GradientMatching._matched

    def limited(self, images, labels, theirs):
        if len(labels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return matched(self, images, labels, theirs)

    for method in (matched, limited):
        monkeypatch.setattr(GradientMatching, "_matched", method)
        container = new_hmn("none")
        loss = ready(real, config).loss(container, 0)
        loss.backward()
        found.append((loss.detach(), container.instance.grad, container.dataset.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-14)


def test_network_is_trained_before_its_first_step(real):
    train_config = changed(SMALL.train, epochs=1)
    objective = GradientMatching(Match(real, None, changed(SMALL, train=train_config), 5))
    objective.learner.begin(2)
    drawn = stream(5, "gradient", "network", 2)
    network = build_network(SMALL.network, classes=3, image=IMAGE, generator=drawn)
    train(
        network,
        real.images,
        real.labels,
        train_config,
        normalisation=real.normalisation,
        seed=5,
        name="gradient network 3",
    )
    for name, value in objective.learner.network.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_gradients_of_slices_are_summed_in_float32():
    parts = torch.randn(8, 100, generator=stream(0, "slices")).bfloat16()
    (found,) = _summed(iter([SimpleNamespace(weight_gradients=[part]) for part in parts]))
    torch.testing.assert_close(found.double(), parts.double().sum(0), rtol=1e-5, atol=1e-6)


def test_epochs_are_sampled_without_replacement(real):
    sampler = EpochSampler(real.labels, range(3), 5, seed=0)
    steps = [sampler.batch(step) for step in range(8)]
    for label, count in enumerate((20, 13, 9)):
        per_epoch = count // 5
        epoch = torch.cat([rows[label] for rows in steps[:per_epoch]])
        assert len(epoch.unique()) == len(epoch) == 5 * per_epoch
        assert (real.labels[epoch] == label).all()
    again = EpochSampler(real.labels, range(1, 2), 5, seed=0)
    assert torch.equal(again.batch(6)[0], steps[6][1])
    few = EpochSampler(real.labels, range(3), 15, seed=0).batch(0)
    assert few.shape == (3, 15)
    assert len(few[2].unique()) == 9


def test_losses_match_recorded_values(real):
    container = new_container(IMAGES, ContainerConfig(), stream(0, "container"))
    found = losses_of(GradientMatching(Match(real, None, SMALL, 5)), container, 4)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(GOLDEN), rtol=1e-4, atol=0)


GOLDEN = [28.24187, 21.27731, 18.48914, 29.11374]
"""Recorded losses of four steps, the last with a new network."""


def test_dropout_masks_depend_on_the_seed(real, monkeypatch):
    """The state of the global generator has no effect and is not changed."""

    def build(config, *, classes, image, generator):
        network = build_network(config, classes=classes, image=image, generator=generator)
        return torch.nn.Sequential(torch.nn.Dropout(0.5), network)

    monkeypatch.setattr("hmnpack.matching.learner.build_network", build)
    container = new_container(IMAGES, ContainerConfig(), stream(1, "container")).double()

    def run(seed):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        losses = losses_of(ready(real, SMALL), container, 3)
        assert torch.equal(torch.get_rng_state(), before)
        return losses

    assert run(1) == run(0)
