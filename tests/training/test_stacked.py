"""Stacked networks: logits, gradients and statistics equal those of the separate networks."""

import pytest
import torch
from torch import nn
from torchvision import models

from hmnpack.networks import build_network
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.training.stacked import StackedNetworks, can_be_stacked

SHAPE = ImageShape(channels=3, height=16, width=16)
SIZES = (3, 16, 16)


def built(name, count=3, dtype=torch.float64):
    config = NetworkConfig(name=name, width=4, depth=2)
    starts = [stream(0, "net", index) for index in range(count)]
    return [
        build_network(config, classes=5, image=SHAPE, generator=start).to(dtype) for start in starts
    ]


class Layers(nn.Module):
    """Every supported type of layer with weights, with non-default settings."""

    def __init__(self, classes=5):
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, stride=2, bias=False, padding_mode="circular", padding=1)
        self.two = nn.BatchNorm2d(8)
        self.three = nn.Conv2d(8, 12, 3, groups=4, dilation=2)
        self.four = nn.GroupNorm(3, 12, affine=False)
        self.five = nn.Linear(12 * 16, 7, bias=False)
        self.six = nn.Linear(7, classes)

    def forward(self, x):
        x = self.four(self.three(self.two(self.one(x)).relu())).sigmoid()
        return self.six(self.five(x.flatten(1)).tanh())


class Concatenated(Layers):
    """Concatenates channels, as DenseNet does."""

    def __init__(self):
        super().__init__()
        self.three = nn.Conv2d(16, 12, 3, groups=4, dilation=2)

    def forward(self, x):
        x = self.two(self.one(x))
        return self.six(self.five(self.three(torch.cat([x, -x], 1)).flatten(1)))


class Doubled(Layers):
    """Has a parameter outside any layer."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(12))


class Silenced(Layers):
    """Has a branch that mixes channels, but is 0 at initialisation."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.two.weight)

    def forward(self, x):
        x = self.one(x)
        x = x + self.two(x).mean(1, keepdim=True)
        return self.six(self.five(self.three(x).flatten(1)))


class Shared(Layers):
    """Has one layer under two names."""

    def __init__(self):
        super().__init__()
        self.seven = self.six


def networks_of(kind, count=3):
    found = []
    for index in range(count):
        with seeded_rng(stream(1, index)):
            found.append(kind().double())
    return found


def images(count=3, each=4):
    return torch.rand(count, each, *SIZES, generator=stream(2, "images")).double() * 2 - 1


def assert_stacked_training_equals_separate(networks):
    """Compare logits and gradients; return both logits in evaluation mode, and the stack."""
    batch, stacked = images(len(networks)), StackedNetworks(networks).train()
    logits = stacked(batch)
    separate = [network.train()(some) for network, some in zip(networks, batch, strict=True)]
    torch.testing.assert_close(logits, torch.stack(separate), rtol=0, atol=1e-10)
    logits.cos().sum().backward()
    for each in separate:
        each.cos().sum().backward()
    for name, parameter in stacked.network.named_parameters():
        parts = torch.stack([network.get_parameter(name).grad for network in networks])
        torch.testing.assert_close(parameter.grad, parts.flatten(0, 1), rtol=1e-7, atol=1e-9)
    stacked.eval()
    return (
        stacked(batch),
        [network.eval()(some) for network, some in zip(networks, batch, strict=True)],
        stacked,
    )


@pytest.mark.parametrize("name", ["convnet", "resnet-ap"])
@pytest.mark.slow
def test_stacked_convnets_and_resnets_equal_separate_ones(name):
    networks = built(name)
    assert can_be_stacked(networks[0], SIZES)
    found, separate, _ = assert_stacked_training_equals_separate(networks)
    torch.testing.assert_close(found, torch.stack(separate), rtol=0, atol=1e-10)


def test_every_layer_type_and_running_statistics_equal_separate_ones():
    networks = networks_of(Layers)
    assert can_be_stacked(networks[0], SIZES)
    found, separate, stacked = assert_stacked_training_equals_separate(networks)
    torch.testing.assert_close(found, torch.stack(separate), rtol=0, atol=1e-10)
    others = networks_of(Layers)
    stacked.copy_to(others)
    for mine, other in zip(networks, others, strict=True):
        assert int(other.two.num_batches_tracked) == 1
        torch.testing.assert_close(mine.state_dict(), other.state_dict(), rtol=0, atol=1e-12)


def test_stacked_weights_are_copies_until_copy_to():
    networks = built("convnet", 2)
    before = [value.clone() for value in networks[1].state_dict().values()]
    stacked = StackedNetworks(networks)
    with torch.no_grad():
        for parameter in stacked.parameters():
            parameter.add_(1)
    assert all(map(torch.equal, before, networks[1].state_dict().values()))
    stacked.copy_to(networks)
    for old, new in zip(before, networks[1].parameters(), strict=True):
        assert torch.equal(old + 1, new)
    assert [parameter.grad for parameter in stacked.parameters()] == [None] * 10


def test_stacked_logits_in_bfloat16_are_close_to_separate_ones():
    networks = built("convnet", dtype=torch.float32)
    batch = images().float()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = StackedNetworks(networks)(batch)
        separate = [network(some) for network, some in zip(networks, batch, strict=True)]
    assert found.dtype == separate[0].dtype == torch.bfloat16
    torch.testing.assert_close(found, torch.stack(separate), rtol=0.02, atol=0.02)


def test_dropout_masks_differ_between_networks():
    def one():
        return nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(768, 2))

    network = one().double()
    assert can_be_stacked(network, SIZES)
    with seeded_rng(stream(0, "dropout")):
        first, second = StackedNetworks([network, network]).train()(
            images(1).expand(2, -1, -1, -1, -1)
        )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", [Concatenated, Doubled, Silenced, Shared])
def test_networks_that_mix_or_share_channels_cannot_be_stacked(kind):
    (network,) = networks_of(kind, 1)
    before = [value.clone() for value in network.state_dict().values()]
    assert not can_be_stacked(network, SIZES)
    assert all(map(torch.equal, before, network.state_dict().values()))
    assert network.training


def test_networks_with_unsupported_layers_cannot_be_stacked():
    assert not can_be_stacked(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), SIZES)
    assert not can_be_stacked(nn.Flatten(), SIZES)
    assert not can_be_stacked(nn.Sequential(nn.Flatten(), nn.LayerNorm(768)), SIZES)


def test_a_densenet_cannot_be_stacked():
    with seeded_rng(stream(0, "dense")):
        small = models.DenseNet(4, (2, 2), 8, num_classes=5)
    assert not can_be_stacked(small, (3, 32, 32))
