"""CAFE's loss against loops over layers, classes and images, in float64."""

import math

import torch
import torch.nn.functional as F

from hmnpack.matching.layerwise import discrimination, layer_distance
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

CLASSES, REAL, SYNTHETIC = 3, 5, 2


def normal(name, *shape):
    return torch.randn(shape, generator=stream(0, name), dtype=torch.float64)


def maps_by_functions(network, images):
    """Return the maps after ReLU of every block, and the last pooled one, by library calls."""
    found, x = [], images
    for block in network.blocks:
        x = F.conv2d(x, block.conv.weight, block.conv.bias, padding=block.padding)
        x = F.relu(F.group_norm(x, len(block.norm.weight), block.norm.weight, block.norm.bias))
        found.append(x)
        x = F.avg_pool2d(x, 2)
    return [*found, x]


def literal(network, real, synthetic):
    """The loss of one step as its description says: every class and image in turn."""
    first = [maps_by_functions(network, real[c]) for c in range(CLASSES)]
    second = [maps_by_functions(network, synthetic[c]) for c in range(CLASSES)]
    total = torch.zeros((), dtype=torch.float64)
    # Layer terms of f1 to f4, and of f5, which is f4 as a vector.
    for layer, weight in ((0, 0.1), (1, 0.1), (2, 1.0), (3, 1.0), (3, 1.0)):
        for c in range(CLASSES):
            mean = sum(image for image in first[c][layer]) / REAL
            other = sum(image for image in second[c][layer]) / SYNTHETIC
            total = total + weight * ((mean - other) ** 2).sum()
    centres = [sum(image.flatten() for image in second[c][3]) / SYNTHETIC for c in range(CLASSES)]
    for c in range(CLASSES):
        for image in first[c][3]:
            scores = [torch.dot(image.flatten(), centre) for centre in centres]
            total = total + 0.01 * (torch.logsumexp(torch.stack(scores), 0) - scores[c])
    return total


def test_equals_loops_over_layers_classes_and_images():
    image = ImageShape(channels=3, height=8, width=8)
    network = build_network(
        NetworkConfig(width=4, depth=3), classes=CLASSES, image=image, generator=stream(0, "net")
    ).double()
    real, synthetic = normal("real", CLASSES, REAL, 3, 8, 8), normal("syn", CLASSES, 2, 3, 8, 8)
    one, other = synthetic.clone().requires_grad_(), synthetic.clone().requires_grad_()

    expected = literal(network, real, one)
    expected.backward()
    theirs = [each.detach().flatten(1) for each in network.maps(real.flatten(0, 1))]
    ours = [each.flatten(1) for each in network.maps(other.flatten(0, 1))]
    means = [each.unflatten(0, (CLASSES, -1)).mean(1) for each in theirs]
    centres = [each.unflatten(0, (CLASSES, -1)).mean(1) for each in ours]
    labels = torch.arange(CLASSES).repeat_interleave(REAL)
    found = layer_distance(means, centres) + discrimination(theirs[-1], labels, centres[-1])
    found.backward()

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=1e-10)


def test_distance_is_zero_between_equal_means():
    means = [normal("a", 3, 7), normal("b", 3, 5), normal("c", 3, 4)]
    assert float(layer_distance(means, [each.clone() for each in means])) == 0


def test_discrimination_of_centres_that_are_alike_is_the_logarithm_of_their_number():
    labels = torch.arange(3).repeat(4)
    found = discrimination(normal("real", 12, 6), labels, torch.ones(3, 6, dtype=torch.float64))
    assert math.isclose(float(found), 0.01 * 12 * math.log(3))


def test_last_map_of_a_convnet_is_the_output_of_its_features():
    image = ImageShape(channels=3, height=8, width=8)
    network = build_network(
        NetworkConfig(width=4, depth=2), classes=2, image=image, generator=stream(0, "net")
    ).double()
    images = normal("images", 3, 3, 8, 8)
    *maps, last = network.maps(images)
    assert [tuple(each.shape[1:]) for each in maps] == [(4, 8, 8), (4, 4, 4)]
    torch.testing.assert_close(last, network.features(images)[-1])
