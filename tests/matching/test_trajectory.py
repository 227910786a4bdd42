"""Trajectory matching against back-propagation through all steps at once, in float64."""

import gc

import pytest
import torch
import torch.nn.functional as F

from hmnpack.matching.trajectory import Segment, trajectory_loss
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

LABELS = torch.arange(3).repeat_interleave(4)
RATE = 0.3


def normal(name, *shape):
    return torch.randn(shape, generator=stream(0, name), dtype=torch.float64)


def logits_of(weights, images):
    """A network without any module: a convolution, tanh, and a linear layer."""
    maps = torch.tanh(F.conv2d(images, weights[0], weights[1], padding=1))
    return F.linear(maps.flatten(1), weights[2], weights[3])


def weights_named(name):
    shapes = [(4, 3, 3, 3), (4,), (3, 4 * 36), (3,)]
    return tuple(0.3 * normal(f"{name} {index}", *shape) for index, shape in enumerate(shapes))


def rows_of(step):
    """Five images of a step, other ones at each."""
    return torch.randperm(12, generator=stream(0, "rows", step))[:5]


def loss_of(step, weights, images):
    rows = rows_of(step)
    return F.cross_entropy(logits_of(weights, images[rows]), LABELS[rows])


def unrolled(images, rate, start, target, steps):
    """Return loss and gradients by one graph through all steps."""
    images, rate = images.clone().requires_grad_(), rate.clone().requires_grad_()
    weights = [weight.clone().requires_grad_() for weight in start]
    for step in range(steps):
        loss = loss_of(step, weights, images)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        weights = [w - rate * g for w, g in zip(weights, gradients, strict=True)]
    numerator = sum(((w - t) ** 2).sum() for w, t in zip(weights, target, strict=True))
    denominator = sum(((s - t) ** 2).sum() for s, t in zip(start, target, strict=True))
    loss = numerator / denominator
    return loss.detach(), *torch.autograd.grad(loss, [images, rate])


@pytest.mark.parametrize("steps", [1, 3])
def test_equals_one_graph_through_all_steps(steps):
    images, rate = normal("images", 12, 3, 6, 6), torch.tensor(RATE, dtype=torch.float64)
    start, target = weights_named("start"), weights_named("target")
    expected = unrolled(images, rate, start, target, steps)
    found = trajectory_loss(loss_of, Segment(start, target, steps), images, rate)
    torch.testing.assert_close(found.loss, expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.by_images, expected[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.by_rate, expected[2], rtol=0, atol=1e-12)
    assert found.by_images.abs().max() > 1e-3


def test_gradient_of_the_rate_is_the_slope_of_the_loss():
    images, segment = (
        normal("images", 12, 3, 6, 6),
        Segment(weights_named("start"), weights_named("target"), 3),
    )
    values = [trajectory_loss(loss_of, segment, images, RATE + e) for e in (-1e-4, 0, 1e-4)]
    slope = (values[2].loss - values[0].loss) / 2e-4
    assert float(values[1].by_rate) == pytest.approx(float(slope), rel=1e-6)


def test_convnet_equals_one_written_with_functions():
    """The product's fused blocks, differentiated twice, against plain library calls."""
    image = ImageShape(channels=3, height=6, width=6)
    network = build_network(
        NetworkConfig(width=3, depth=1), classes=3, image=image, generator=stream(0, "net")
    ).double()
    names = [name for name, _ in network.named_parameters()]
    start = tuple(value.detach().clone() for value in network.parameters())
    target = tuple(v + 0.1 * normal(f"to {i}", *v.shape) for i, v in enumerate(start))
    images = normal("images", 12, 3, 6, 6)

    def fused(step, weights, pixels):
        rows = rows_of(step)
        given = dict(zip(names, weights, strict=True))
        logits = torch.func.functional_call(network, given, (pixels[rows],))
        return F.cross_entropy(logits, LABELS[rows])

    def plain(step, weights, pixels):
        rows, (kernel, bias, scale, shift, matrix, offset) = rows_of(step), weights
        x = F.conv2d(pixels[rows], kernel, bias, padding=1)
        x = F.avg_pool2d(F.relu(F.group_norm(x, 3, scale, shift)), 2)
        return F.cross_entropy(F.linear(x.flatten(1), matrix, offset), LABELS[rows])

    assert names == [
        *("blocks.0.conv.weight", "blocks.0.conv.bias", "blocks.0.norm.weight"),
        *("blocks.0.norm.bias", "classifier.weight", "classifier.bias"),
    ]
    one, other = (
        trajectory_loss(loss, Segment(start, target, 3), images, RATE) for loss in (fused, plain)
    )
    torch.testing.assert_close(one.loss, other.loss, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.by_images, other.by_images, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.by_rate, other.by_rate, rtol=0, atol=1e-9)


def expert_step(start, images):
    """Return the weights after the step of an expert whose batch these images are."""
    weights = [weight.clone().requires_grad_() for weight in start]
    gradients = torch.autograd.grad(loss_of(0, weights, images), weights)
    return tuple((w - RATE * g).detach() for w, g in zip(weights, gradients, strict=True))


def test_loss_is_zero_when_the_images_are_the_batch_of_the_expert():
    images, start = normal("images", 12, 3, 6, 6), weights_named("start")
    segment = Segment(start, expert_step(start, images), 1)
    found = trajectory_loss(loss_of, segment, images, RATE)
    assert float(found.loss) == pytest.approx(0, abs=1e-20)
    assert float(found.by_images.abs().max()) == pytest.approx(0, abs=1e-10)


def test_descent_leads_other_images_to_the_step_of_the_expert():
    start = weights_named("start")
    segment = Segment(start, expert_step(start, normal("images", 12, 3, 6, 6)), 1)
    images = normal("other", 12, 3, 6, 6).requires_grad_()
    optimiser = torch.optim.Adam([images], lr=0.1)
    losses = []
    for _ in range(150):
        found = trajectory_loss(loss_of, segment, images, RATE)
        images.grad = found.by_images
        optimiser.step()
        losses.append(float(found.loss))
    assert losses[-1] < 0.05 * losses[0]


class Held:
    """A saved tensor that is counted while a graph holds it."""

    def __init__(self, tensor, counts):
        self.tensor, self.counts = tensor, counts
        counts["now"] += 1
        counts["most"] = max(counts["most"], counts["now"])

    def __del__(self):
        self.counts["now"] -= 1


def most_saved(steps):
    """Return the greatest number of tensors that graphs hold at any time."""
    segment = Segment(weights_named("start"), weights_named("target"), steps)
    counts = {"now": 0, "most": 0}
    gc.collect()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: Held(tensor, counts), lambda held: held.tensor
    ):
        trajectory_loss(loss_of, segment, normal("images", 12, 3, 6, 6), RATE)
    return counts["most"]


def test_graphs_take_no_more_memory_for_more_steps():
    assert most_saved(8) == most_saved(2) > 0
