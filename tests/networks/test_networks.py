"""Networks by name: shapes, parameter counts, seeds, and the ConvNet against torch's layers."""

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
from hmnpack.schema.training import deepest

CIFAR = ImageShape(channels=3, height=32, width=32)


def build(name="convnet", image=CIFAR, classes=10, seed=0, **sizes):
    config = NetworkConfig(name=name, **sizes)
    return build_network(config, classes=classes, image=image, generator=stream(seed, "net"))


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_convnet_has_the_papers_parameter_count():
    assert parameters(build()) == 320_010


def test_convnet_equals_a_sequential_of_torch_layers():
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


def test_convnet_pads_28_pixels_to_32():
    network = build(image=ImageShape(channels=1, height=28, width=28), width=8)
    features = network.features(torch.zeros(2, 1, 28, 28))
    assert tuple(features[0].shape) == (2, 8, 16, 16)


@pytest.mark.parametrize(("side", "patch"), [(16, 2), (13, 2), (16, 4)])
def test_squares_as_pixels_equal_a_strided_convolution(side, patch):
    image = ImageShape(channels=3, height=side, width=side)
    network = build(image=image, width=4, depth=2, patch=patch)
    images = torch.randn(2, 3, side, side, generator=stream(0, "images"))
    first = network.blocks[0].conv
    kernel = first.weight.detach().unflatten(1, (3, patch, patch))  # [D, C, in square, 3, 3]
    kernel = kernel.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
    padded = F.pad(images, (patch, patch - side % -patch, patch, patch - side % -patch))
    maps = F.conv2d(padded, kernel, first.bias, stride=patch)
    expected = F.avg_pool2d(F.relu(F.instance_norm(maps)), 2)
    torch.testing.assert_close(network.features(images)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [8, 17, 20])
def test_convnet_supports_other_sizes(side):
    network = build(image=ImageShape(channels=3, height=side, width=side + 3), width=4)
    assert network(torch.zeros(2, 3, side, side + 3)).shape == (2, 10)


def test_convnet_rejects_a_depth_too_large_for_the_images():
    with pytest.raises(BadSettings, match="4 times, but the images are 8x8; use a smaller depth"):
        build(image=ImageShape(channels=1, height=8, width=8), depth=4)


def test_weights_depend_on_the_generator_and_leave_the_global_one_unchanged():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, same, other = build(width=4), build(width=4), build(width=4, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [next(n.parameters()) for n in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_an_unknown_name_is_rejected_with_a_suggestion():
    with pytest.raises(BadSettings, match="unknown network 'convnt'; did you mean convnet"):
        build("convnt")


@pytest.mark.parametrize(("side", "expected"), [(32, (2, 7)), (96, (2, 7))])
def test_resnet_ap_returns_logits_without_batch_norm(side, expected):
    network = build("resnet-ap", ImageShape(channels=3, height=side, width=side), classes=7)
    assert network(torch.zeros(2, 3, side, side)).shape == expected
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_torchvision_resnet_has_a_stem_for_small_images():
    network = build("torchvision:resnet18")
    assert network.conv1.stride == (1, 1)
    assert isinstance(network.maxpool, nn.Identity)
    assert network.fc.out_features == 10
    large = build("torchvision:resnet18", ImageShape(channels=1, height=96, width=96))
    assert large.conv1.stride == (2, 2)
    assert large.conv1.in_channels == 1


@pytest.mark.parametrize("name", ["torchvision:resnet81", "keras:resnet18", "torchvision:"])
def test_names_unknown_to_a_library_are_rejected(name):
    with pytest.raises(BadSettings, match=name.split(":")[0]):
        build(name)


def test_a_network_that_needs_larger_images_is_rejected():
    with pytest.raises(BadSettings, match="alexnet cannot process 3x32x32 images"):
        build("torchvision:alexnet")


def test_resnet_ap_rejects_tiny_images():
    with pytest.raises(BadSettings, match="at least 16x16, not 8x8"):
        build("resnet-ap", ImageShape(channels=1, height=8, width=8))


SMALL = ("vgg16", "resnet18", "densenet121")
"""ImageNet networks in their variants for 32-pixel images."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", 14_728_266),  # the code shared by DC and HaBa
        ("resnet18", 11_173_962),  # likewise
        ("densenet121", 6_956_298 + 2 * 64),  # IDC, plus the normalisation of torchvision's stem
    ],
)
def test_networks_for_32_pixels_have_the_published_parameter_counts(name, expected):
    assert parameters(build(name)) == expected


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("image", [(1, 28, 28), (3, 31, 40), (3, 64, 64), (1, 16, 16), (3, 80, 80)])
@pytest.mark.slow
def test_networks_for_32_pixels_train_on_other_sizes(name, image):
    """With one image in training mode, as in the last batch of an epoch."""
    channels, height, width = image
    network = build(name, ImageShape(channels=channels, height=height, width=width), classes=3)
    images = torch.randn(1, *image, generator=stream(0, "images"))
    logits = network(images)
    assert logits.shape == (1, 3)
    F.cross_entropy(logits, torch.tensor([1])).backward()
    first = next(network.parameters())
    assert first.shape[1] == channels
    assert first.grad.abs().sum() > 0


def test_vgg16_has_the_convolutions_of_torchvisions():
    own = [m for m in build("vgg16").modules() if isinstance(m, nn.Conv2d)]
    with torch.device("meta"):
        reference = models.vgg16_bn()
    theirs = [m for m in reference.features if isinstance(m, nn.Conv2d)]
    assert [m.weight.shape for m in own] == [m.weight.shape for m in theirs]
    for layer in own:
        fan_out = layer.weight.shape[0] * 9
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_small_networks_normalise_by_instance_except_densenet():
    images = torch.randn(3, 3, 32, 32, generator=stream(0, "images"))
    for name in SMALL:
        network = build(name, classes=2)
        with torch.no_grad():
            single, batched = network(images[:1]), network(images)[:1]
        assert torch.allclose(single, batched, atol=1e-4) == (name != "densenet121")


def test_densenet_stem_does_not_downsample_small_images():
    small = build("densenet121").features
    assert (small.conv0.stride, type(small.pool0)) == ((1, 1), nn.Identity)
    large = build("densenet121", ImageShape(channels=1, height=65, width=65)).features
    assert (large.conv0.stride, large.conv0.in_channels) == ((2, 2), 1)
    assert isinstance(large.pool0, nn.MaxPool2d)


@pytest.mark.parametrize("name", SMALL)
def test_networks_for_32_pixels_reject_tiny_images(name):
    with pytest.raises(BadSettings, match=f"{name} needs images of at least 16x16, not 8x20"):
        build(name, ImageShape(channels=1, height=8, width=20))


@pytest.mark.parametrize(("name", "side"), [("resnet-ap", 256), ("densenet121", 80)])
def test_images_with_an_extreme_aspect_ratio_are_rejected(name, side):
    """The longer side decides the pooling, which reduces the shorter one to nothing."""
    with pytest.raises(BadSettings, match=f"{name} cannot process 3x16x{side} images"):
        build(name, ImageShape(channels=3, height=16, width=side))


def test_library_version_is_that_of_timm_only(monkeypatch):
    monkeypatch.setattr("hmnpack.networks.build.version", lambda name: f"{name} 9")
    names = ("convnet", "torchvision:resnet18", "timm:resnet18")
    found = [library_version(NetworkConfig(name=name)) for name in names]
    assert found == [(), (), ("timm 9",)]


def test_a_timm_network_without_timm_names_the_extra():
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"pip install -e '\.\[timm\]'"):
            build("timm:resnet18")


def shape_of(height, width):
    return ImageShape(channels=1, height=height, width=width)


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [(1, 1, 0), (1, 64, 0), (2, 2, 1), (4, 4, 2), (4, 64, 2), (7, 9, 2), (28, 28, 5), (28, 5, 3)],
)
def test_deepest_convnet_is_built_and_no_deeper_one(height, width, most):
    image = shape_of(height, width)
    assert deepest(image) == most
    if most:
        assert build(image=image, width=2, depth=most)(torch.rand(2, 1, height, width)).shape == (
            2,
            10,
        )
    with pytest.raises(BadSettings, match=r"network\.depth" if most else "larger images"):
        build(image=image, width=2, depth=most + 1)
