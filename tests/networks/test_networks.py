"""Networks by name: shapes, counts, seeds, and the ConvNet against a literal one."""

import pytest
import torch
from torch import nn

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.networks import ConvNet, build_network
from hmnpack.runtime import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

CIFAR = ImageShape(channels=3, height=32, width=32)


def build(name="convnet", image=CIFAR, classes=10, seed=0, **sizes):
    config = NetworkConfig(name=name, **sizes)
    return build_network(config, classes=classes, image=image, generator=stream(seed, "net"))


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_convnet_has_the_papers_parameters():
    assert parameters(build()) == 320_010


def test_convnet_is_the_literal_one():
    network = build(width=8)
    layers = []
    for index in range(3):
        layers += [nn.Conv2d(8 if index else 3, 8, 3, padding=1), nn.GroupNorm(8, 8)]
        layers += [nn.ReLU(), nn.AvgPool2d(2)]
    reference = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 10))
    with torch.no_grad():
        for mine, other in zip(network.parameters(), reference.parameters(), strict=True):
            other.copy_(mine)
    images = torch.randn(5, 3, 32, 32, generator=stream(0, "images"))
    mine, other = network(images), reference(images)
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    grads = [
        torch.autograd.grad(y.square().sum(), n.parameters())
        for n, y in ((network, mine), (reference, other))
    ]
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_features_are_the_outputs_of_the_blocks():
    network = build(width=8)
    assert isinstance(network, ConvNet)
    features = network.features(torch.zeros(2, 3, 32, 32))
    assert [tuple(f.shape) for f in features] == [(2, 8, 16, 16), (2, 8, 8, 8), (2, 8, 4, 4)]


def test_mnist_is_padded_to_32():
    network = build(image=ImageShape(channels=1, height=28, width=28), width=8)
    features = network.features(torch.zeros(2, 1, 28, 28))
    assert tuple(features[0].shape) == (2, 8, 16, 16)


@pytest.mark.parametrize("side", [8, 17, 20])
def test_other_sides(side):
    network = build(image=ImageShape(channels=3, height=side, width=side + 3), width=4)
    assert network(torch.zeros(2, 3, side, side + 3)).shape == (2, 10)


def test_too_many_blocks():
    with pytest.raises(BadSettings, match="4 times, but the images are 8x8; use a smaller depth"):
        build(image=ImageShape(channels=1, height=8, width=8), depth=4)


def test_the_generator_decides_the_weights_and_the_global_one_is_left():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, same, other = build(width=4), build(width=4), build(width=4, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [next(n.parameters()) for n in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_unknown_name():
    with pytest.raises(BadSettings, match="unknown network 'convnt'; did you mean convnet"):
        build("convnt")


@pytest.mark.parametrize(("side", "expected"), [(32, (2, 7)), (96, (2, 7))])
def test_resnet_ap(side, expected):
    network = build("resnet-ap", ImageShape(channels=3, height=side, width=side), classes=7)
    assert network(torch.zeros(2, 3, side, side)).shape == expected
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_torchvision_with_a_stem_for_small_images():
    network = build("torchvision:resnet18")
    assert network.conv1.stride == (1, 1)
    assert isinstance(network.maxpool, nn.Identity)
    assert network.fc.out_features == 10
    large = build("torchvision:resnet18", ImageShape(channels=1, height=96, width=96))
    assert large.conv1.stride == (2, 2)
    assert large.conv1.in_channels == 1


@pytest.mark.parametrize("name", ["torchvision:resnet81", "keras:resnet18", "torchvision:"])
def test_bad_names(name):
    with pytest.raises(BadSettings, match=name.split(":")[0]):
        build(name)


def test_a_network_for_larger_images_only():
    with pytest.raises(BadSettings, match="alexnet cannot take 3x32x32 images"):
        build("torchvision:alexnet")


def test_resnet_ap_for_tiny_images():
    with pytest.raises(BadSettings, match="at least 16x16, not 8x8"):
        build("resnet-ap", ImageShape(channels=1, height=8, width=8))


def test_timm_is_an_extra():
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"hmnpack\[timm\]"):
            build("timm:resnet18")
