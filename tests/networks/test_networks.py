"""Networks by name: shapes, counts, seeds, and the ConvNet against a literal one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.networks import ConvNet, build_network, library_version
from hmnpack.runtime.seeds import stream
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


SMALL = ("vgg16", "resnet18", "densenet121")
"""Networks of ImageNet in their forms for 32 pixels."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", 14_728_266),  # as in the code that DC and HaBa share
        ("resnet18", 11_173_962),  # the same
        ("densenet121", 6_956_298 + 2 * 64),  # IDC's, and the norm that torchvision's stem has
    ],
)
def test_networks_for_32_pixels_have_the_fields_parameters(name, expected):
    assert parameters(build(name)) == expected


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("image", [(1, 28, 28), (3, 31, 40), (3, 64, 64), (1, 16, 16), (3, 80, 80)])
@pytest.mark.slow
def test_networks_for_32_pixels_learn_from_other_images(name, image):
    """One image a batch, in training mode: the last batch of an epoch may have no more."""
    channels, height, width = image
    network = build(name, ImageShape(channels=channels, height=height, width=width), classes=3)
    images = torch.randn(1, *image, generator=stream(0, "images"))
    logits = network(images)
    assert logits.shape == (1, 3)
    F.cross_entropy(logits, torch.tensor([1])).backward()
    first = next(network.parameters())
    assert first.shape[1] == channels
    assert first.grad.abs().sum() > 0


def test_vgg16_is_torchvisions_with_another_norm_and_end():
    own = [m for m in build("vgg16").modules() if isinstance(m, nn.Conv2d)]
    with torch.device("meta"):
        reference = models.vgg16_bn()
    theirs = [m for m in reference.features if isinstance(m, nn.Conv2d)]
    assert [m.weight.shape for m in own] == [m.weight.shape for m in theirs]
    for layer in own:
        fan_out = layer.weight.shape[0] * 9
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_each_image_is_normalised_by_itself_but_in_densenet():
    images = torch.randn(3, 3, 32, 32, generator=stream(0, "images"))
    for name in SMALL:
        network = build(name, classes=2)
        with torch.no_grad():
            alone, together = network(images[:1]), network(images)[:1]
        assert torch.allclose(alone, together, atol=1e-4) == (name != "densenet121")


def test_densenet_keeps_the_size_of_small_images():
    small = build("densenet121").features
    assert (small.conv0.stride, type(small.pool0)) == ((1, 1), nn.Identity)
    large = build("densenet121", ImageShape(channels=1, height=65, width=65)).features
    assert (large.conv0.stride, large.conv0.in_channels) == ((2, 2), 1)
    assert isinstance(large.pool0, nn.MaxPool2d)


@pytest.mark.parametrize("name", SMALL)
def test_networks_for_32_pixels_refuse_tiny_images(name):
    with pytest.raises(BadSettings, match=f"{name} needs images of at least 16x16, not 8x20"):
        build(name, ImageShape(channels=1, height=8, width=20))


@pytest.mark.parametrize(("name", "side"), [("resnet-ap", 256), ("densenet121", 80)])
def test_images_too_long_for_their_height_are_refused(name, side):
    """Pooling goes by the longer side, and leaves nothing of the shorter one."""
    with pytest.raises(BadSettings, match=f"{name} cannot take 3x16x{side} images"):
        build(name, ImageShape(channels=3, height=16, width=side))


def test_only_timms_version_is_one_of_its_own(monkeypatch):
    monkeypatch.setattr("hmnpack.networks.build.version", lambda name: f"{name} 9")
    names = ("convnet", "torchvision:resnet18", "timm:resnet18")
    found = [library_version(NetworkConfig(name=name)) for name in names]
    assert found == [(), (), ("timm 9",)]


def test_timm_is_an_extra():
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"pip install -e '\.\[timm\]'"):
            build("timm:resnet18")
