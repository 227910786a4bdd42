"""The reference implementation of gradient matching against hand computation and gradcheck."""

import copy
import math

import pytest
import torch
from torch import nn

from hmnpack.augment import Draws, draw
from hmnpack.container import new_container
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import (
    MATCHING_AUGMENTATIONS,
    ContainerConfig,
    NetworkConfig,
    TrainConfig,
)
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import train

GREY = Normalisation(mean=(0.25,), std=(0.5,))
COLOUR = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
REAL = ((0.1, 0.9, 0.4), (0.7, 0.2, 0.6))
SYNTHETIC = ((0.3, 0.8), (0.05, 0.55))
BRIGHTNESS = (0.2, 0.9)


class OneWeightPerClass(nn.Module):
    """A network for one-pixel images and two classes: each logit is a weight times the pixel."""

    def __init__(self, first, second):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False, dtype=torch.float64)
        self.conv.weight.data = torch.tensor([first, second], dtype=torch.float64).view(2, 1, 1, 1)

    def forward(self, x):
        return self.conv(x).flatten(1)


class SameLogits(nn.Module):
    """A network with constant logits that records its input."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        self.seen = x
        return self.logits.expand(len(x), 2)


def pixels(values):
    return torch.tensor(values, dtype=torch.float64)[..., None, None, None]


def by_hand(first, second, label, values):
    """Return gradients of the mean cross-entropy: the mean of (softmax - one-hot) * pixel."""
    total = [0.0, 0.0]
    for value in values:
        second_part = 1 / (1 + math.exp((first - second) * value))
        parts = (1 - second_part, second_part)
        for index in range(2):
            total[index] += (parts[index] - (index == label)) * value / len(values)
    return total


def seen(value, label):
    """Return a pixel after normalisation and its class's brightness augmentation."""
    return (value - 0.25) / 0.5 + BRIGHTNESS[label] - 0.5


def convnet(width=3, depth=2, side=8, classes=2, channels=3, dtype=torch.float64):
    image = ImageShape(channels=channels, height=side, width=side)
    config = NetworkConfig(width=width, depth=depth)
    network = build_network(config, classes=classes, image=image, generator=stream(0, "net"))
    return network.to(dtype)


def images_of(*shape, name="images"):
    return torch.rand(shape, generator=stream(0, name), dtype=torch.float64)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.7, -1.1)])
@pytest.mark.parametrize("distance", ["mse", "l1"])
def test_loss_matches_hand_computed_sum(literal, weights, distance):
    expected = 0.0
    for label in range(2):
        real = by_hand(*weights, label, [seen(value, label) for value in REAL[label]])
        ours = by_hand(*weights, label, [seen(value, label) for value in SYNTHETIC[label]])
        gaps = [abs(a - b) for a, b in zip(real, ours, strict=True)]
        expected += sum(gap**2 if distance == "mse" else gap for gap in gaps)
    draws = Draws(brightness=torch.tensor(BRIGHTNESS, dtype=torch.float64))
    network = OneWeightPerClass(*weights)
    found = literal.literal_loss(network, pixels(REAL), pixels(SYNTHETIC), draws, GREY, distance)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_zero_weights_compare_only_the_means(literal):
    """Both softmax outputs are 1/2, so a gradient is half the mean pixel."""
    network = OneWeightPerClass(0.0, 0.0)
    batch = pixels([1.0, 2.0, 6.0])
    (gradient,) = literal.class_gradients(network, batch, literal.of_class(0, batch))
    assert gradient.flatten().tolist() == [-1.5, 1.5]
    none = Draws()
    loss = literal.literal_loss(network, pixels(REAL), pixels(SYNTHETIC), none, GREY, "l1")
    means = [[sum(values) / len(values) for values in rows] for rows in (REAL, SYNTHETIC)]
    gaps = [abs(real - ours) / 0.5 for real, ours in zip(*means, strict=True)]
    assert loss.item() == pytest.approx(sum(gaps), rel=1e-12)


def test_only_convolution_weights_are_matched(literal):
    image = ImageShape(channels=3, height=16, width=16)
    for name, count in (("convnet", 3), ("resnet-ap", 12)):
        config = NetworkConfig(name=name, width=4)
        network = build_network(config, classes=2, image=image, generator=stream(0, "net"))
        found = literal.class_gradients(network, torch.zeros(2, 3, 16, 16), torch.tensor([0, 1]))
        modules = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        assert len(found) == count == len(modules)
        assert [f.shape for f in found] == [layer.weight.shape for layer in modules]


@pytest.mark.parametrize(("side", "channels", "depth"), [(16, 3, 3), (28, 1, 2)])
def test_plain_network_matches_the_library_network(literal, side, channels, depth):
    network = convnet(width=5, depth=depth, side=side, channels=channels, classes=4)
    batch = images_of(6, channels, side, side)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    plain = literal.PlainConvNet(network)
    assert torch.allclose(plain(batch), network(batch), atol=1e-12)
    pairs = zip(
        literal.class_gradients(plain, batch, labels),
        literal.class_gradients(network, batch, labels),
        strict=True,
    )
    assert all(torch.allclose(*pair, atol=1e-12) for pair in pairs)


@pytest.mark.parametrize("distance", ["mse", "l1"])
def test_gradient_passes_gradcheck(literal, distance):
    network = literal.PlainConvNet(convnet())
    real, synthetic = images_of(2, 3, 3, 8, 8, name="real"), images_of(2, 2, 3, 8, 8)
    draws = draw(MATCHING_AUGMENTATIONS, 2, stream(0, "draws"))

    def loss(images):
        return literal.literal_loss(network, real, images, draws, COLOUR, distance)

    assert torch.autograd.gradcheck(loss, synthetic.requires_grad_(), fast_mode=True)


def test_real_gradients_are_constant_and_equal_images_have_zero_loss(literal):
    network = literal.PlainConvNet(convnet())
    real = images_of(2, 3, 3, 8, 8).requires_grad_()
    draws = draw(MATCHING_AUGMENTATIONS, 2, stream(0, "draws"))
    same = real.detach().clone().requires_grad_()
    loss = literal.literal_loss(network, real, same, draws, COLOUR)
    loss.backward()
    assert loss.item() < 1e-25
    assert real.grad is None
    assert same.grad.abs().max() < 1e-12


def test_loss_is_a_sum_over_classes(literal):
    network = literal.PlainConvNet(convnet())
    real, synthetic = images_of(2, 3, 3, 8, 8, name="real"), images_of(2, 2, 3, 8, 8)
    draws = draw(MATCHING_AUGMENTATIONS, 2, stream(0, "draws"))
    both = literal.literal_loss(network, real, synthetic, draws, COLOUR)
    swapped = synthetic.clone()
    swapped[1] = real[1, :2]
    only = literal.literal_loss(network, real[:1], synthetic[:1], draws, COLOUR)
    rest = both - literal.literal_loss(network, real, swapped, draws, COLOUR)
    first = draws.index(torch.tensor([1]))
    parts = [
        literal.real_gradients(network, 1, images, first, COLOUR)
        for images in (real[1], synthetic[1], swapped[1])
    ]
    second = literal.gradient_distance(parts[0], parts[1])
    assert both.item() == pytest.approx((only + second).item(), rel=1e-12)
    assert rest.item() == pytest.approx(
        (second - literal.gradient_distance(parts[0], parts[2])).item(), rel=1e-9
    )


def test_gradient_reaches_every_container_tensor(literal, hmn):
    container = new_container(hmn(), ContainerConfig(), stream(0, "container"))
    container.freeze()
    synthetic = container.expand().double().unflatten(0, (2, 3))
    network = literal.PlainConvNet(convnet(side=16))
    draws = draw(MATCHING_AUGMENTATIONS, 2, stream(0, "draws"))
    literal.literal_loss(network, images_of(2, 4, 3, 16, 16), synthetic, draws, COLOUR).backward()
    assert all(parameter.grad.any() for parameter in container.parameters())


class TestTraining:
    @pytest.mark.parametrize("cutmix", [0.0, 0.5, 1.0])
    def test_final_weights_match_the_library_training(self, literal, cutmix):
        """One epoch at a constant rate, with the same random numbers."""
        images, labels = images_of(150, 3, 8, 8), torch.arange(150) % 2
        ours = convnet(dtype=torch.float32)
        theirs = copy.deepcopy(ours)
        config = TrainConfig(
            epochs=1,
            schedule="constant",
            augment=("brightness", "saturation", "contrast", "crop"),
            cutmix=cutmix,
            precision="float32",
        )
        train(ours, images.float(), labels, config, normalisation=COLOUR, seed=3, name="x")

        generator = stream(3, "x", "epoch", 0)
        order = torch.randperm(150, generator=generator)
        literal.literal_training(
            literal.PlainConvNet(theirs),
            literal.new_optimiser(theirs),
            images.float()[order],
            labels[order],
            normalisation=COLOUR,
            generator=generator,
            cutmix=cutmix,
        )
        for mine, other in zip(theirs.parameters(), ours.parameters(), strict=True):
            assert torch.allclose(mine, other, atol=1e-5)

    def test_two_steps_match_hand_computed_sgd(self, literal, monkeypatch):
        """Momentum 0.9, weight decay 5e-4, learning rate 0.01; no augmentation."""
        monkeypatch.setattr(literal, "draw", lambda *_, **__: Draws())
        network, images = OneWeightPerClass(0.4, -0.2), pixels([0.5, -1.0, 2.0])
        literal.literal_training(
            network,
            literal.new_optimiser(network),
            torch.cat([images, images]) / 2 + 0.25,  # the normalisation below undoes this
            torch.tensor([0] * 6),
            normalisation=Normalisation(mean=(0.25,), std=(0.5,)),
            generator=stream(0, "train"),
            batch=3,
            cutmix=0.0,
        )
        weights, speeds = [0.4, -0.2], [0.0, 0.0]
        for _ in range(2):
            slopes = by_hand(*weights, 0, images.flatten().tolist())
            for index in range(2):
                slope = slopes[index] + 5e-4 * weights[index]
                speeds[index] = 0.9 * speeds[index] + slope
            weights = [w - 0.01 * v for w, v in zip(weights, speeds, strict=True)]
        assert network.conv.weight.flatten().tolist() == pytest.approx(weights, rel=1e-12)

    def test_cutmix_mixes_pixels_and_labels_equally(self, literal, monkeypatch):
        """A quarter of every image and of its label comes from its partner."""
        monkeypatch.setattr(literal, "draw", lambda *_, **__: Draws())
        monkeypatch.setattr(literal, "box_of", lambda *_: (0, 4, 0, 4))
        same = stream(0, "train")
        torch.rand((), generator=same)
        torch.rand(3, generator=same)
        partner = torch.randperm(3, generator=same).tolist()
        assert partner != [0, 1, 2]

        network, labels = SameLogits(), torch.tensor([0, 1, 1])
        images = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1).expand(3, 1, 8, 8)
        optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
        generator = stream(0, "train")
        literal.literal_training_step(network, optimiser, images, labels, generator, cutmix=1.0)
        own = [0.75 * value + 0.25 * (partner[index] + 1) for index, value in enumerate((1, 2, 3))]
        assert network.seen.mean((1, 2, 3)).tolist() == own
        ones = 0.75 * labels + 0.25 * labels[partner]
        assert network.logits.tolist() == pytest.approx(
            [(1 - ones).mean().item() - 0.5, ones.mean().item() - 0.5]
        )


@pytest.mark.parametrize(
    ("draws", "box"),
    [
        ((0.75, 0.5, 0.5), (4, 12, 8, 24)),  # half of each side, centred
        ((0.0, 0.0, 0.999), (0, 8, 15, 32)),  # full size, centred on a corner: clipped to a quarter
        ((1.0, 0.3, 0.3), (4, 4, 9, 9)),  # empty
    ],
)
def test_cutmix_boxes_have_the_expected_bounds(literal, draws, box):
    assert literal.box_of(*draws, 16, 32) == box
