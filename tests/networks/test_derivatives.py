"""Hand-written derivatives against automatic differentiation."""

import pytest
import torch

from hmnpack.networks import build_network
from hmnpack.networks.classwise import class_conv, class_conv_input, class_conv_weight
from hmnpack.networks.derivatives import (
    AutogradPass,
    ConvNetPass,
    images_at_once,
)
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

CLASSES, EACH = 3, 4
LABELS = torch.arange(CLASSES).repeat_interleave(EACH)


def network(side, depth=3, channels=3):
    """A small ConvNet whose normalisations are not at their initial values."""
    generator = stream(0, "network", side)
    shape = ImageShape(channels=channels, height=side, width=side)
    config = NetworkConfig(width=5, depth=depth)
    made = build_network(config, classes=CLASSES, image=shape, generator=generator).double()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made


def images(side, channels=3):
    shape = (CLASSES * EACH, channels, side, side)
    return torch.randn(shape, generator=stream(1, "images", side), dtype=torch.float64)


@pytest.mark.parametrize(("side", "depth"), [(16, 3), (28, 3), (18, 2), (8, 1)])
def test_pass_and_derivative_equal_autograd(side, depth):
    net, batch = network(side, depth), images(side)
    with torch.no_grad():
        ours = ConvNetPass(net, batch, LABELS, CLASSES, 1 / EACH)
    theirs = AutogradPass(net, batch, LABELS, CLASSES, 1 / EACH)
    directions = [
        torch.randn(gradient.shape, generator=stream(2, "d"), dtype=torch.float64)
        for gradient in theirs.weight_gradients
    ]
    for a, b in zip(ours.weight_gradients, theirs.weight_gradients, strict=True):
        assert a.shape == b.shape == (CLASSES, *a.shape[1:])
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
    with torch.no_grad():
        found = ours.along(directions)
    torch.testing.assert_close(found, theirs.along(directions), rtol=0, atol=1e-13)


def test_derivative_equals_finite_differences():
    net, batch, step = network(16, 2), images(16), 1e-6
    with torch.no_grad():
        one = ConvNetPass(net, batch, LABELS, CLASSES, 1 / EACH)
        directions = [torch.ones_like(gradient) for gradient in one.weight_gradients]
        moved = torch.randn(batch.shape, generator=stream(3, "move"), dtype=torch.float64)
        products = []
        for sign in (1, -1):
            each = ConvNetPass(net, batch + sign * step * moved, LABELS, CLASSES, 1 / EACH)
            products.append(sum(float(gradient.sum()) for gradient in each.weight_gradients))
        expected = (products[0] - products[1]) / (2 * step)
        assert float((one.along(directions) * moved).sum()) == pytest.approx(expected, rel=1e-5)


def test_weight_gradients_of_a_class_ignore_images_of_other_classes():
    net, batch = network(16), images(16)
    other = batch.clone()
    other[LABELS == 1] += 1
    with torch.no_grad():
        first, second = (
            ConvNetPass(net, each, LABELS, CLASSES, 1 / EACH) for each in (batch, other)
        )
    for a, b in zip(first.weight_gradients, second.weight_gradients, strict=True):
        torch.testing.assert_close(a[[0, 2]], b[[0, 2]], rtol=0, atol=1e-14)
        assert not torch.allclose(a[1], b[1])


def test_pass_in_bfloat16_is_close():
    net, batch = network(16).float(), images(16).float()
    with torch.no_grad():
        exact = ConvNetPass(net, batch, LABELS, CLASSES, 1 / EACH)
        approximate = ConvNetPass(net, batch.bfloat16(), LABELS, CLASSES, 1 / EACH)
    for a, b in zip(exact.weight_gradients, approximate.weight_gradients, strict=True):
        assert b.dtype == approximate.dtype == torch.bfloat16
        assert float((a - b.float()).norm() / a.norm()) < 0.2


def test_probabilities_in_bfloat16_do_not_round_to_one_for_confident_images():
    net, batch = network(16).float(), images(16).bfloat16()
    with torch.no_grad():
        net.classifier.weight.zero_()
        net.classifier.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
        found = ConvNetPass(net, batch, torch.zeros_like(LABELS), 1, 1.0).probabilities
    expected = torch.tensor([9.0, 0.0, 0.0], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(1 - found[0, 0].double(), 1 - expected[0], rtol=0.01, atol=0)


@pytest.mark.parametrize("padding", [1, 3])
def test_class_convolutions_equal_one_convolution_per_class(padding):
    generator = stream(4, "class")
    x = torch.randn(6, 2, 8, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    weights.requires_grad_()
    outputs = [
        torch.nn.functional.conv2d(some, weight, padding=padding)
        for some, weight in zip(x.split(2), weights, strict=True)
    ]
    expected = torch.cat(outputs)
    grad = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    by_x, by_weights = torch.autograd.grad(expected, [x, weights], grad)
    with torch.no_grad():
        torch.testing.assert_close(class_conv(x, weights, padding), expected)
        torch.testing.assert_close(class_conv_input(grad, weights, padding), by_x)
        found = class_conv_weight(x, grad, 3, weights[0], padding)
        torch.testing.assert_close(found, by_weights)


def test_slices_hold_a_bounded_number_of_elements():
    batch = torch.zeros(100, 3, 32, 32)
    wide = build_network(
        NetworkConfig(),
        classes=10,
        image=ImageShape(channels=3, height=32, width=32),
        generator=stream(0, "n"),
    )
    assert images_at_once(wide, batch) == 2**20 // (128 * 32 * 32)
