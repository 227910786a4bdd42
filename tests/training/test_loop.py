"""Training: deterministic, resumable bit by bit, and equal to a plain training loop."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hmnpack.errors import Diverged
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import accuracy, train
from hmnpack.training.loop import images_at_a_time, in_batches, learning_rate, schedule_of

SAME = Normalisation(mean=(0.0,), std=(1.0,))
HALF = Normalisation(mean=(0.5,), std=(0.25,))
AUGMENTED = TrainConfig(epochs=4, batch=8)
PLAIN = TrainConfig(epochs=4, batch=8, lr=0.05, augment=(), cutmix=0)


def data(count=22, classes=3):
    labels = torch.arange(count) % classes
    noise = torch.rand(count, 1, 8, 8, generator=stream(0, "pixels")) * 60
    return (noise + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels


def network(seed=0, classes=3):
    image = ImageShape(channels=1, height=8, width=8)
    config = NetworkConfig(width=4, depth=2)
    return build_network(config, classes=classes, image=image, generator=stream(seed, "net"))


def trained(config=AUGMENTED, **more):
    net = network()
    images, labels = data()
    train(net, images, labels, config, normalisation=HALF, seed=1, name="t", **more)
    return net.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_is_deterministic():
    assert same(trained(), trained())


def test_training_resumed_at_any_epoch_ends_with_the_same_weights():
    states = []
    uninterrupted = trained(on_epoch=states.append)
    assert [state.epoch for state in states] == [1, 2, 3, 4]
    for state in states:
        assert same(uninterrupted, trained(resume=state))


def test_an_exception_in_on_epoch_stops_training():
    def stop(state):
        raise InterruptedError(state.epoch)

    with pytest.raises(InterruptedError, match="1"):
        trained(on_epoch=stop)


def test_on_batch_is_called_with_every_batch_and_changes_no_weight():
    calls = []
    assert same(trained(), trained(on_batch=lambda *batch: calls.append(batch)))
    assert len(calls) == 4 * 3
    _, labels = data()
    for epoch in range(4):
        rows = torch.cat([batch[0] for batch in calls[3 * epoch : 3 * epoch + 3]])
        assert sorted(rows.tolist()) == list(range(22))
    for rows, logits, target in calls:
        assert torch.equal(target, labels[rows])
        assert (logits.shape, logits.requires_grad) == ((len(rows), 3), False)


def test_on_batch_logits_are_those_before_the_step():
    images, labels = data()
    calls = []
    net, untrained = network(), network()
    config = PLAIN.model_copy(update={"epochs": 1, "batch": 100})
    train(
        net,
        images,
        labels,
        config,
        normalisation=HALF,
        seed=1,
        name="t",
        on_batch=lambda *batch: calls.append(batch),
    )
    ((rows, logits, _),) = calls
    with torch.no_grad():
        expected = untrained((images[rows].float() / 255 - 0.5) / 0.25)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_training_equals_a_plain_loop():
    images, labels = data()
    mine, other = network(), network()
    train(mine, images, labels, PLAIN, normalisation=HALF, seed=3, name="loop")
    optimiser = torch.optim.SGD(other.parameters(), 0.05, momentum=0.9, weight_decay=0.0005)
    step = 0
    for epoch in range(4):
        order = torch.randperm(22, generator=stream(3, "loop", "epoch", epoch))
        for rows in (order[:8], order[8:16], order[16:]):
            cosine = (1 + math.cos(math.pi * step / 11)) / 2
            optimiser.param_groups[0]["lr"] = 0.0001 + (0.05 - 0.0001) * cosine
            optimiser.zero_grad()
            pixels = (images[rows].float() / 255 - 0.5) / 0.25
            F.cross_entropy(other(pixels), labels[rows]).backward()
            optimiser.step()
            step += 1
    for found, expected in zip(mine.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_training_on_uint8_equals_training_on_floats():
    images, labels = data()
    results = []
    for pixels in (images, images.float() / 255):
        net = network()
        train(net, pixels, labels, PLAIN, normalisation=HALF, seed=1, name="t")
        results.append(net.state_dict())
    assert same(*results)


def test_learning_rate_is_annealed_from_the_first_to_the_last_step():
    config = TrainConfig(epochs=1, lr=0.2, lr_end=0.002)
    rates = [learning_rate(config, step, 5) for step in range(5)]
    assert rates == pytest.approx([0.2, 0.17100, 0.101, 0.03100, 0.002], abs=1e-4)
    constant = TrainConfig(epochs=1, lr=0.2, schedule="constant")
    assert learning_rate(constant, 4, 5) == 0.2
    assert learning_rate(config, 0, 1) == 0.2


@pytest.mark.parametrize(
    ("images", "min_steps", "epochs", "steps"), [(64, 0, 5, 1), (65, 0, 5, 2), (10, 101, 101, 1)]
)
def test_schedule_adds_epochs_up_to_min_steps(images, min_steps, epochs, steps):
    schedule = schedule_of(TrainConfig(epochs=5, batch=64), images, min_steps)
    assert (schedule.epochs, schedule.steps, schedule.total) == (epochs, steps, epochs * steps)


def test_listener_is_called_after_every_epoch():
    calls = []
    trained(PLAIN, min_steps=15, listener=lambda *a, **facts: calls.append((*a, sorted(facts))))
    assert calls == [("t", epoch + 1, 5, ["loss", "lr"]) for epoch in range(5)]


def test_divergence_names_the_step():
    images, labels = data()
    net = network()
    with torch.no_grad():
        net.classifier.bias[0] = float("inf")
    with pytest.raises(Diverged, match="t: the loss became nan at step 0; use a lower"):
        train(net, images, labels, PLAIN, normalisation=HALF, seed=1, name="t")


def batch_sizes(count, net, size=8):
    return [len(rows) for rows in in_batches(torch.arange(count), size, net)]


def test_in_batches_avoids_a_last_batch_of_one_with_batch_norm():
    """The number of batches is the same, and every image is in one of them."""
    plain, normed = network(), nn.BatchNorm2d(1)
    assert batch_sizes(17, plain) == [8, 8, 1]
    assert batch_sizes(17, normed) == [8, 7, 2]
    assert batch_sizes(18, normed) == [8, 8, 2]
    assert batch_sizes(16, normed) == [8, 8]
    assert batch_sizes(9, normed) == [7, 2]
    assert [batch_sizes(1, normed), batch_sizes(5, normed, 2)] == [[1], [2, 2, 1]]
    rows = torch.cat(in_batches(torch.arange(17), 8, normed))
    assert torch.equal(rows, torch.arange(17))


def test_a_remainder_of_one_image_is_trained_on_with_batch_norm():
    images, labels = data(17)
    layers = nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
    train(nn.Sequential(*layers), images, labels, PLAIN, normalisation=HALF, seed=1, name="t")


def test_training_reaches_full_accuracy_on_separable_images():
    images, labels = data(60)
    net = network()
    config = PLAIN.model_copy(update={"epochs": 15})
    train(net, images, labels, config, normalisation=SAME, seed=1, name="t")
    assert accuracy(net, images, labels, normalisation=SAME) == 100


def test_training_is_independent_of_the_callers_autocast():
    """The caller's autocast would cache the weights of the first step."""
    low = PLAIN.model_copy(update={"precision": "bfloat16"})

    def linear():
        with seeded_rng(stream(0, "linear")):
            net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        images, labels = data()
        train(net, images, labels, low, normalisation=HALF, seed=1, name="t")
        return net.state_dict()

    expected = linear()
    with torch.autocast("cpu", torch.bfloat16):
        assert same(expected, linear())


@pytest.mark.parametrize(("side", "most"), [(8, 500), (64, 500), (128, 125), (224, 40), (9999, 1)])
def test_large_images_have_smaller_test_batches(side, most):
    assert images_at_a_time(500, side, side) == most


def test_accuracy_is_the_percentage_of_correct_labels(monkeypatch):
    class Brightness(nn.Module):
        def forward(self, x):
            assert not self.training
            return torch.stack([-x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1)

    monkeypatch.setattr("hmnpack.training.loop.TEST_BATCH", 3)
    images = torch.tensor([0, 255, 0, 255, 255, 0, 0, 0], dtype=torch.uint8).view(8, 1, 1, 1)
    labels = torch.tensor([0, 1, 1, 1, 0, 0, 0, 1])
    net = Brightness()
    assert accuracy(net, images, labels, normalisation=HALF) == 62.5
    assert net.training


def network_with_dropout():
    """A network with dropout, which draws its masks from the global generator."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, 3))


def test_dropout_depends_on_the_seed_and_resumes():
    def run(seed=1, **more):
        with seeded_rng(stream(0, "dropout")):
            net = network_with_dropout()
        train(net, *data(), AUGMENTED, normalisation=HALF, seed=seed, name="t", **more)
        return net.state_dict()

    states = []
    torch.manual_seed(1)
    uninterrupted = run(on_epoch=states.append)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(uninterrupted, run())
    assert torch.equal(before, torch.get_rng_state())
    assert all(same(uninterrupted, run(resume=state)) for state in states)
    assert not same(uninterrupted, run(seed=2))


def test_seeded_rng_seeds_no_other_device(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "manual_seed", calls.append)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", calls.append)
    with seeded_rng(stream(0, "a")):
        first = torch.rand(3)
    with seeded_rng(stream(0, "a")):
        assert torch.equal(first, torch.rand(3))
    assert not calls
