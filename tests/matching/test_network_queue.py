"""IDM's queue: which networks it holds, which are trained, and how much each is trusted."""

import copy

import pytest
import torch

from hmnpack.container import new_container
from hmnpack.matching import Match
from hmnpack.matching.idm import CalibratedMatching
from hmnpack.matching.network_queue import NetworkQueue
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.idm import IdmConfig
from hmnpack.schema.images import ImagesConfig

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
CONFIG = IdmConfig(
    iterations=1,
    network=NetworkConfig(width=3, depth=2),
    synthetic_batch=4,
    augment=(),
    lr=1,
    momentum=0.5,
    adam_lr=0.01,
    real_batch=100,
    ce_weight=0.5,
    queue=5,
    push_every=2,
    train_steps=2,
    train_batch=8,
    network_lr=0.01,
    network_momentum=0.9,
    network_decay=5e-4,
    count_steps=100,
)


@pytest.fixture
def match(real):
    return lambda **changes: Match(real, None, CONFIG.model_copy(update=changes), 5)


def test_new_networks_replace_the_oldest(match):
    queue = NetworkQueue(match())
    queue.before(0)
    held = list(queue.members)
    assert len(held) == 4  # three, and the first that is pushed
    queue.before(1)
    assert queue.members == held
    queue.before(2)
    assert queue.members[:4] == held
    assert len(queue.members) == 5
    queue.before(3)
    queue.before(4)
    assert queue.members[:3] == held[1:]
    assert len(queue.members) == 5


def test_two_networks_are_trained_after_each_step(match):
    queue = NetworkQueue(match())
    queue.before(0)
    before = [member.network.classifier.weight.clone() for member in queue.members]
    queue.before(1)
    seen = [member.seen for member in queue.members]
    changed = [
        not torch.equal(member.network.classifier.weight, weight)
        for member, weight in zip(queue.members, before, strict=True)
    ]
    assert sorted(seen) == [0, 0, 16, 16]  # two steps of eight images
    assert changed == [count > 0 for count in seen]


def test_trust_is_the_weight_times_the_accuracy_in_percent(match):
    queue = NetworkQueue(match())
    member = queue.before(0)
    assert queue.factor_of(member) is None
    member.correct, member.seen = torch.tensor(70), 100
    assert queue.factor_of(member) == 35


def test_accuracies_are_counted_anew_after_some_steps(match):
    queue = NetworkQueue(match(count_steps=3))
    for step in range(3):
        queue.before(step)
    assert sum(member.seen for member in queue.members) == 2 * 2 * 16
    queue.before(3)
    assert sum(member.seen for member in queue.members) == 0


def test_training_counts_what_the_network_classified_correctly(match, real):
    """Colours are easy to tell apart: many steps lead to nearly all images."""
    queue = NetworkQueue(match(train_steps=60, network_lr=0.1, push_every=1000))
    queue.before(0)
    queue.before(1)
    trained = [member for member in queue.members if member.seen]
    assert all(0 < member.correct <= member.seen for member in trained)
    assert max(float(member.correct) / member.seen for member in trained) > 0.7


def literal(objective, member, container, real):
    """Return IDM's loss by loops; a class has fewer images than a batch, so all are used."""
    mean, std = 0.4, 0.25
    network, total = member.network, 0.0
    factor = 0.5 * 100 * int(member.correct) / member.seen if member.seen else 0.0
    for label in range(3):
        theirs = (real.images[real.labels == label].float() / 255 - mean) / std
        ours = (container.pixels[4 * label : 4 * label + 4] - mean) / std
        distance = network.features(theirs)[-1].mean(0) - network.features(ours)[-1].mean(0)
        entropy = -torch.log_softmax(network(ours), 1)[:, label].mean()
        total = total + distance.square().sum() + factor * entropy
    return total


def test_loss_of_the_objective_equals_loops_over_the_classes(match, real):
    objective = CalibratedMatching(match(push_every=1000))
    container = new_container(SPEC, ImagesConfig(), stream(0, "container"))
    trusted = []
    for step in range(6):
        loss = objective.loss(container, step)
        container.zero_grad()
        loss.backward()
        found = container.pixels.grad.clone()
        # The same call again would train; the network of the step is known by its seed.
        index = int(torch.randint(4, (), generator=stream(5, "rival", "network of step", step)))
        member = objective.queue.members[index]
        expected = literal(objective, member, container, real)
        (gradient,) = torch.autograd.grad(expected, container.pixels)
        torch.testing.assert_close(loss.detach(), expected.detach(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-5)
        trusted.append(member.seen > 0)
    assert any(trusted)


def test_a_restored_queue_goes_on_alike(match):
    container = new_container(SPEC, ImagesConfig(), stream(0, "container"))
    first, second = CalibratedMatching(match()), CalibratedMatching(match())
    for step in range(3):
        first.loss(container, step)
    second.restore(copy.deepcopy(first.state()))
    for step in range(3, 6):
        assert torch.equal(first.loss(container, step), second.loss(container, step))
