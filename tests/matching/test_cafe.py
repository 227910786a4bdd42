"""The objective of CAFE against loops over layers, classes and images, in float64."""

import pytest
import torch
import torch.nn.functional as F

from hmnpack.augment import normalise
from hmnpack.container import new_container
from hmnpack.errors import BadSettings
from hmnpack.matching import Match
from hmnpack.matching.cafe import LayerwiseMatching
from hmnpack.runtime.seeds import stream
from hmnpack.schema.cafe import CafeConfig
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.images import ImagesConfig

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
CONFIG = CafeConfig(
    iterations=10,
    network=NetworkConfig(width=3, depth=3),
    synthetic_batch=4,
    augment=(),
    lr=0.1,
    momentum=0.5,
    adam_lr=0.01,
    image_steps=2,
    epochs=1,
    batch=5,
    network_lr=0.01,
    real_batch=100,
)


@pytest.fixture
def match(real):
    return lambda **changes: Match(real, None, CONFIG.model_copy(update=changes), 5)


def maps_of(network, images):
    found, x = [], images
    for block in network.blocks:
        x = F.conv2d(x, block.conv.weight, block.conv.bias, padding=block.padding)
        x = F.relu(F.group_norm(x, len(block.norm.weight), block.norm.weight, block.norm.bias))
        found.append(x)
        x = F.avg_pool2d(x, 2)
    return [*found, x]


def literal(network, pixels, real):
    """Return CAFE's loss; a class has fewer real images than a batch, so all are used."""
    theirs, ours = [], []
    for label in range(3):
        images = real.images[real.labels == label].double() / 255
        theirs.append(maps_of(network, normalise(images, real.normalisation)))
        images = pixels[4 * label : 4 * label + 4]
        ours.append(maps_of(network, normalise(images, real.normalisation)))
    total = 0.0
    for layer, weight in enumerate((0.1, 0.1, 1.0, 2.0)):
        for label in range(3):
            away = theirs[label][layer].mean(0) - ours[label][layer].mean(0)
            total = total + weight * away.square().sum()
    centres = [ours[label][3].mean(0).flatten() for label in range(3)]
    for label in range(3):
        for image in theirs[label][3]:
            scores = torch.stack([image.flatten() @ centre for centre in centres])
            total = total - 0.01 * torch.log_softmax(scores, 0)[label]
    return total


def test_loss_and_gradient_equal_loops(match, real):
    objective = LayerwiseMatching(match())
    container = new_container(SPEC, ImagesConfig(), stream(0, "container")).double()
    for step in range(3):  # a new network, the same one trained, another new one
        loss = objective.loss(container, step)
        container.zero_grad()
        loss.backward()
        found = container.pixels.grad.clone()
        expected = literal(objective.network, container.pixels, real)
        (gradient,) = torch.autograd.grad(expected, container.pixels)
        torch.testing.assert_close(loss.detach(), expected.detach(), rtol=0, atol=1e-8)
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-8)


def test_augmentation_changes_both_sides_alike(match, real):
    """If the synthetic images are the real ones, all that is left is the discrimination term."""
    classes = [real.images[real.labels == label][:4] for label in range(3)]
    same = Match(
        type(real)(
            torch.cat(classes), torch.arange(3).repeat_interleave(4), 3, real.normalisation, "same"
        ),
        None,
        CONFIG.model_copy(update={"augment": ("crop", "rotate", "brightness")}),
        5,
    )
    container = new_container(SPEC, ImagesConfig(), stream(0, "container")).double()
    with torch.no_grad():
        container.pixels.copy_(torch.cat(classes).double() / 255)
    loss = float(LayerwiseMatching(same).loss(container, 0).detach())
    plain = float(LayerwiseMatching(match()).loss(container, 0).detach())
    assert 0 < loss < 0.01 * 12 * 5 < plain  # at most twelve images of five nats each


def test_the_rate_halves_three_times():
    config = CONFIG.model_copy(update={"iterations": 2000, "image_steps": 11})
    changes = [
        (step // 11, config.rate_factor(step))
        for step in range(1, config.steps)
        if config.rate_factor(step) != config.rate_factor(step - 1)
    ]
    assert changes == [(1200, 0.5), (1600, 0.25), (1800, 0.125)]


def test_other_networks_are_refused(match):
    with pytest.raises(BadSettings, match=r"resnet-ap has not; use rival\.network\.name=convnet"):
        LayerwiseMatching(match(network=NetworkConfig(name="resnet-ap")))
