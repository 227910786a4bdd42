"""Operations of networks and decoders, against torch's own counter on the real modules."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hmnpack.container.cost import decode_flops, decoder_outputs
from hmnpack.errors import BadSettings
from hmnpack.networks import flops
from hmnpack.networks.derivatives import ConvNetPass
from hmnpack.registry import NETWORKS
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

COUNT = 3
"""Images in a batch."""

CASES = [
    ("convnet", {}, 10, (3, 32, 32)),
    ("convnet", {"width": 24}, 10, (1, 28, 28)),
    ("convnet", {"width": 24, "depth": 4}, 7, (3, 64, 48)),
    ("convnet", {"width": 24}, 5, (3, 9, 15)),
    ("resnet-ap", {}, 10, (3, 32, 32)),
    ("resnet-ap", {}, 7, (3, 97, 80)),
    ("resnet-ap", {}, 10, (3, 224, 224)),
]


def shape(sizes):
    channels, height, width = sizes
    return ImageShape(channels=channels, height=height, width=width)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[3]}")
def case(request):
    """A network without numbers (device `meta`), its layers by our arithmetic, and images."""
    name, sizes, classes, image = request.param
    config = NetworkConfig(name=name, **sizes)
    with torch.device("meta"):
        network = NETWORKS[name](config, classes, shape(image))
        return network, flops.layers_of(config, classes, shape(image)), torch.empty(COUNT, *image)


def counted(work, *arguments):
    with FlopCounterMode(display=False) as counter:
        work(*arguments)
    return counter.get_total_flops()


def loss_of(network, images):
    labels = torch.zeros(len(images), dtype=torch.int64, device="meta")
    return F.cross_entropy(network(images), labels)


def convolutions(network):
    return [weight for weight in network.parameters() if weight.dim() == 4]


class TestNetworks:
    def test_the_papers_network_takes_a_tenth_of_a_gigaflop(self):
        """By hand: 9 * (3 * 128 * 32^2 + 128^2 * 16^2 + 128^2 * 8^2) + 2048 * 10, doubled."""
        layers = flops.layers_of(NetworkConfig(), 10, shape((3, 32, 32)))
        assert flops.network_flops(layers, flops.Passes(1, 1, 1)) == 101_490_688

    def test_a_forward_pass(self, case):
        network, layers, images = case
        ours = COUNT * flops.network_flops(layers, flops.Passes(1, 1, 1))
        assert counted(network, images) == ours

    def test_features(self, case):
        network, layers, images = case
        ours = COUNT * flops.network_flops(layers, flops.FEATURES)
        assert counted(network.features, images) == ours

    def test_weights_are_those_of_the_modules(self, case):
        network, layers, _ = case
        weights = [weight for weight in network.parameters() if weight.dim() > 1]
        assert sorted(w.numel() for w in weights) == sorted(layer.weights for layer in layers)

    def test_an_output_has_a_number_for_each_time_that_a_filter_is_used(self, case):
        network, layers, _ = case
        filters = {}
        for weight in network.parameters():
            if weight.dim() > 1:
                filters.setdefault(weight.numel(), set()).add(len(weight))
        for layer in layers:
            uses = layer.flops // (2 * layer.weights)
            assert layer.outputs in {uses * count for count in filters[layer.weights]}

    def test_training(self, case):
        network, layers, images = case
        ours = COUNT * flops.network_flops(layers, flops.TRAINING)
        assert counted(lambda: loss_of(network, images).backward()) == ours

    def test_gradients_of_the_convolutions_weights(self, case):
        network, layers, images = case
        network.classifier.requires_grad_(False)
        ours = COUNT * flops.network_flops(layers, flops.WEIGHT_GRADIENTS)

        def work():
            torch.autograd.grad(loss_of(network, images), convolutions(network))

        assert counted(work) == ours

    def test_back_to_the_images(self, case):
        network, layers, images = case
        network.requires_grad_(False)
        images.requires_grad_()

        def work():
            network.features(images)[-1].sum().backward()

        assert counted(work) == COUNT * flops.network_flops(layers, flops.FEATURES_TO_IMAGES)

    @pytest.mark.slow
    def test_second_derivatives_by_differentiating_twice(self, case):
        network, layers, images = case
        network.classifier.requires_grad_(False)
        images = images.requires_grad_() * 1  # the counter's hooks refuse leaves

        def work():
            found = torch.autograd.grad(
                loss_of(network, images), convolutions(network), create_graph=True
            )
            torch.autograd.grad(sum(each.square().sum() for each in found), images)

        ours = COUNT * flops.network_flops(layers, flops.SECOND_DERIVATIVES_BY_AUTOGRAD)
        assert counted(work) == ours

    @pytest.mark.parametrize("case", CASES[:4], indirect=True)
    def test_second_derivatives_by_hand(self, case):
        network, layers, images = case
        labels = torch.zeros(COUNT, dtype=torch.int64, device="meta")

        @torch.no_grad()
        def work():
            first = ConvNetPass(network, images, labels, 1, 1 / COUNT)
            first.along([weight.unsqueeze(0) for weight in convolutions(network)])

        ours = COUNT * flops.network_flops(layers, flops.SECOND_DERIVATIVES)
        assert counted(work) == ours

    def test_another_network_is_refused_by_name(self):
        other = NetworkConfig(name="torchvision:resnet18")
        assert not flops.is_counted(other)
        with pytest.raises(BadSettings, match=r"torchvision:resnet18.*convnet"):
            flops.layers_of(other, 10, shape((3, 32, 32)))


class TestDecoder:
    @pytest.mark.parametrize("extractor", [None, 4])
    def test_it_is_the_sum_over_the_layers(self, hmn, extractor):
        """Against plain transposed convolutions; what a class shares goes through once."""
        spec = hmn(extractor_channels=extractor, decoder_channels=(5, 7))
        classes, side = spec.classes, spec.grid
        own = torch.empty(spec.images, spec.instance_channels, side, side, device="meta")
        shared = torch.empty(classes, spec.shared_channels, side, side, device="meta")

        def layer(before, after):
            return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, device="meta")

        def decode():
            if extractor:
                memory = torch.empty(1, spec.dataset_channels, side, side, device="meta")
                nn.Conv2d(spec.dataset_channels, classes * extractor, 1, device="meta")(memory)
            layer(spec.shared_channels, 5)(shared)
            layer(7, 3)(layer(5, 7)(layer(spec.instance_channels, 5)(own)))

        assert counted(decode) == decode_flops(spec, spec.images)

    def test_its_outputs(self, hmn):
        spec = hmn(decoder_channels=(5,))
        assert decoder_outputs(spec) == 5 * 8**2 + 3 * 16**2
