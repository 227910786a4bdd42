"""Only layers that draw random numbers are seeded."""

import pytest
import torch
from torch import nn

from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.registry import NETWORKS
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

CPU = torch.device("cpu")


class Unknown(nn.Module):
    def forward(self, x):
        return x + torch.rand(())


def is_seeded(network):
    """Return whether two blocks of the same stream draw the same numbers."""
    drawn = []
    for _ in range(2):
        with seeded_layers(network, stream(0, "a"), CPU):
            drawn.append(torch.rand(3))
    return torch.equal(*drawn)


@pytest.mark.parametrize(
    "layer", [nn.Dropout(), nn.AlphaDropout(), nn.RReLU(), nn.MultiheadAttention(4, 2), Unknown()]
)
def test_seeded_layers_of_networks_that_may_draw(layer):
    assert is_seeded(nn.Sequential(nn.Flatten(), nn.Sequential(layer)))


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.GELU(), nn.AvgPool2d(2), nn.Linear(2, 2)]
)
def test_seeded_layers_of_networks_that_draw_nothing(layer):
    assert not is_seeded(nn.Sequential(nn.Flatten(), nn.Sequential(layer)))


def test_seeded_layers_does_not_slow_down_the_default_network():
    config, image = NetworkConfig(width=4, depth=2), ImageShape(channels=1, height=16, width=16)
    assert not is_seeded(
        build_network(config, classes=2, image=image, generator=stream(0, "network"))
    )


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_pass_through_an_unseeded_network_draws_nothing(name):
    image = ImageShape(channels=3, height=32, width=32)
    network = build_network(
        NetworkConfig(name=name), classes=2, image=image, generator=stream(0, "network")
    )
    if is_seeded(network):
        pytest.skip("seeded")
    before = torch.get_rng_state()
    network(torch.ones(2, 3, 32, 32)).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)
