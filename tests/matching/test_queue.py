"""The queue against a plain list of networks, each trained by a loop that is written out."""

import copy

import pytest
import torch
from torch.nn import functional as F

from hmnpack.augment import apply, draw, normalise
from hmnpack.container import new_container
from hmnpack.errors import BadSettings
from hmnpack.matching import FeatureMatching, Match
from hmnpack.matching.queue import Queue
from hmnpack.networks import build_network
from hmnpack.runtime import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig, NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.queue import QueueConfig

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
NETWORK = NetworkConfig(width=4, depth=2)
TRAIN = TrainConfig(
    epochs=0, batch=6, lr=0.1, schedule="constant", augment=("crop",), cutmix=0, precision="float32"
)


def config(**changes):
    queue = {"size": 4, "first": 2, "every": 2, "trained": 2, "steps": 3, "network": NETWORK}
    queue = QueueConfig(**{**queue, "train": TRAIN, **changes})
    return MatchConfig(
        steps=9, real_batch=5, synthetic_batch=3, precision="float32", queue=queue, lr=0.02
    )


@pytest.fixture
def match(real):
    def match(**changes):
        return Match(real, None, config(**changes), 7)

    return match


def weights(networks):
    return [[value.clone() for value in network.state_dict().values()] for network in networks]


def networks_of(queue):
    return [queue.trained(index) for index in range(len(queue))]


def assert_equal(ours, theirs):
    for mine, others in zip(ours, theirs, strict=True):
        for value, other in zip(mine, others, strict=True):
            torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6)


def trained_literally(network, data, generator):
    """Momentum SGD with weight decay by its formula, on images drawn with replacement."""
    network = copy.deepcopy(network).requires_grad_(True)
    velocity = [torch.zeros_like(parameter) for parameter in network.parameters()]
    for _ in range(3):
        rows = torch.randint(len(data.labels), (6,), generator=generator)
        draws = draw(("crop",), 6, generator, one_spatial=True)
        torch.rand((), generator=generator)  # whether it is cut-mixed: never
        images = apply(normalise(data.images[rows].float() / 255, data.normalisation), draws)
        loss = F.cross_entropy(network(images), data.labels[rows])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient, moving in zip(
                network.parameters(), gradients, velocity, strict=True
            ):
                moving.mul_(0.9).add_(gradient + 0.0005 * parameter)
                parameter.sub_(0.1 * moving)
    return network


def fresh(number):
    return build_network(
        NETWORK, classes=3, image=SPEC.image, generator=stream(7, "queue", "network", number)
    )


def test_it_is_a_list_that_new_networks_push_and_old_ones_leave(match, real):
    queue, expected, numbers = Queue(match()), [fresh(0), fresh(1)], [0, 1]
    for step in range(9):
        queue.renew(step)
        if step in (2, 4, 6, 8):
            numbers.append(numbers[-1] + 1)
            expected.append(fresh(numbers[-1]))
            numbers, expected = numbers[-4:], expected[-4:]
        assert queue.numbers == numbers
        assert_equal(weights(networks_of(queue)), weights(expected))
        generator = stream(7, "queue", "train", step)
        for index in torch.randperm(len(expected), generator=generator)[:2].tolist():
            expected[index] = trained_literally(expected[index], real, generator)
        queue.advance(step)
    assert numbers == [2, 3, 4, 5]
    assert_equal(weights(networks_of(queue)), weights(expected))
    assert not any(value.requires_grad for net in networks_of(queue) for value in net.parameters())


def test_between_goes_from_a_network_as_it_is_now_to_as_it_came(match):
    queue = Queue(match())
    for step in range(3):
        queue.renew(step)
        queue.advance(step)
    for index, number in enumerate(queue.numbers):
        assert_equal(weights([queue.between(index, 0)]), weights([queue.trained(index)]))
        assert_equal(weights([queue.between(index, 1)]), weights([fresh(number)]))


def test_a_step_looks_through_one_and_then_they_train(match, real):
    objective = FeatureMatching(match())
    container = new_container(SPEC, ContainerConfig(), stream(0, "container"))
    before = weights(networks_of(objective.queue))
    losses = objective.losses(container, 0)
    loss = next(losses)
    loss.backward()
    assert float(container.pixels.grad.abs().sum()) > 0
    assert_equal(weights(networks_of(objective.queue)), before)
    assert next(losses, None) is None
    after = weights(networks_of(objective.queue))
    assert any(
        not torch.equal(x, y)
        for mine, theirs in zip(before, after, strict=True)
        for x, y in zip(mine, theirs, strict=True)
    )


def test_what_is_kept_over_a_pause_is_all_that_it_needs(match):
    container = new_container(SPEC, ContainerConfig(), stream(0, "container"))

    def told(objective, steps):
        return [[loss.item() for loss in objective.losses(container, step)] for step in steps]

    whole = told(FeatureMatching(match()), range(9))
    first, second = FeatureMatching(match()), FeatureMatching(match())
    assert told(first, range(5)) == whole[:5]
    second.restore(first.state())
    assert told(second, range(5, 9)) == whole[5:]


def test_a_queue_of_one_is_the_newest_network(match):
    queue = Queue(match(size=1, first=3, trained=9))
    assert queue.numbers == [0]
    queue.renew(2)
    assert queue.numbers == [1]
    queue.advance(2)
    assert len(queue) == 1


def test_views_of_a_queue_are_refused(match):
    changed = match()
    changed = Match(changed.data, None, changed.config.model_copy(update={"views": 5}), 7)
    with pytest.raises(BadSettings, match=r"match\.views=5 .* set match\.views=0"):
        FeatureMatching(changed)


def test_a_network_without_features_is_refused_by_the_name_of_its_setting(match):
    with pytest.raises(BadSettings, match=r"match\.queue\.network\.name 'vgg16'"):
        Queue(match(network=NetworkConfig(name="vgg16")))
