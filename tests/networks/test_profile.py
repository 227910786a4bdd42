"""What an image costs a network: by hand, and by torch's own counters on the real modules."""

import subprocess
import sys
import textwrap

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hmnpack.errors import BadSettings
from hmnpack.networks import build_network, flops, network_on_meta
from hmnpack.networks.derivatives import ConvNetPass
from hmnpack.networks.profile import Block, profile_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

COUNT = 3
"""Images in a batch."""

MATCHED_THROUGH = [
    ("convnet", {}, 10, (3, 32, 32)),
    ("convnet", {}, 10, (1, 28, 28)),
    ("convnet", {"width": 24}, 5, (3, 9, 15)),
    ("convnet", {"width": 24, "depth": 4}, 7, (3, 64, 48)),
    ("resnet-ap", {}, 10, (1, 28, 28)),
    ("resnet-ap", {}, 10, (3, 64, 64)),
    ("resnet-ap", {}, 7, (3, 97, 80)),
    ("resnet-ap", {}, 10, (3, 224, 224)),
]
OTHERS = [
    (name, {}, 10, image)
    for name in ("vgg16", "resnet18", "densenet121", "torchvision:resnet18", "torchvision:vgg11")
    for image in ((1, 28, 28), (3, 32, 32))
    if (name, image) != ("torchvision:vgg11", (1, 28, 28))  # too small for it
]
GROUPED = [
    ("torchvision:mobilenet_v2", {}, 10, (3, 32, 32)),
    ("torchvision:convnext_tiny", {}, 10, (3, 32, 32)),
    ("torchvision:regnet_y_400mf", {}, 10, (3, 32, 32)),  # it cannot be built on `meta`
]
ATTENTION = [("torchvision:swin_t", {}, 10, (3, 64, 64))]
TIMM = [
    ("timm:resnet18", {}, 10, (1, 28, 28)),
    ("timm:resnet18", {}, 10, (3, 32, 32)),
    ("timm:test_vit", {}, 10, (3, 160, 160)),
]


def name_of(case):
    return f"{case[0]}-{'x'.join(map(str, case[3]))}"


def sized(cases):
    return pytest.mark.parametrize("case", cases, ids=name_of, indirect=True)


def shape(sizes):
    channels, height, width = sizes
    return ImageShape(channels=channels, height=height, width=width)


def profile(name="convnet", image=(3, 32, 32), classes=10, **sizes):
    return profile_network(NetworkConfig(name=name, **sizes), classes, shape(image))


@pytest.fixture
def case(request):
    """A network without numbers (device `meta`), its profile, and images."""
    name, sizes, classes, image = request.param
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    config = NetworkConfig(name=name, **sizes)
    network = network_on_meta(config, classes=classes, image=shape(image)).to("meta")
    found = profile_network(config, classes, shape(image))
    return network, found, torch.empty(COUNT, *image, device="meta")


def counted(work, *arguments):
    with FlopCounterMode(display=False) as counter:
        work(*arguments)
    return counter.get_total_flops()


def loss_of(network, images):
    labels = torch.zeros(len(images), dtype=torch.int64, device="meta")
    return F.cross_entropy(network(images), labels)


def convolutions(network):
    return [weight for weight in network.parameters() if weight.dim() == 4]


def differentiate_twice(network, images):
    images = images.requires_grad_() * 1  # the counter's hooks refuse leaves
    loss = loss_of(network.eval(), images)
    gradients = torch.autograd.grad(loss, convolutions(network), create_graph=True)
    torch.autograd.grad(gradients, images, [torch.empty_like(each) for each in gradients])


class TestOperations:
    def test_the_papers_network_takes_a_tenth_of_a_gigaflop(self):
        """By hand: 9 * (3 * 128 * 32^2 + 128^2 * 16^2 + 128^2 * 8^2) + 2048 * 10, doubled."""
        assert profile().flops(flops.LOGITS) == 101_490_688

    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [
            ({}, (101_490_688, 297_394_176, 696_156_160)),
            ({"image": (1, 28, 28)}, (96_772_096, 287_956_992, 672_563_200)),
            (
                {"width": 24, "depth": 4, "classes": 7, "image": (3, 64, 48)},
                (14_436_288, 39_327_552, 93_079_296),
            ),
        ],
        ids=str,
    )
    def test_convnets_by_arithmetic_on_their_sizes(self, sizes, expected):
        passes = flops.LOGITS, flops.TRAINING, flops.SECOND_DERIVATIVES
        assert tuple(profile(**sizes).flops(each) for each in passes) == expected

    @sized(MATCHED_THROUGH + OTHERS + GROUPED + ATTENTION + TIMM)
    def test_a_forward_pass(self, case):
        network, found, images = case
        assert counted(network.eval(), images) == COUNT * found.flops(flops.LOGITS)

    @sized(MATCHED_THROUGH + OTHERS + ATTENTION + TIMM)
    def test_training(self, case):
        network, found, images = case
        ours = COUNT * found.flops(flops.TRAINING)
        assert counted(lambda: loss_of(network.eval(), images).backward()) == ours

    def test_a_grouped_convolutions_training_is_three_forward_passes(self):
        """By definition; torch's counter takes the gradient of such weights for an ungrouped one.

        The first layer of MobileNetV2 has 3 * 32 * 9 weights, of stride 2, and no way back.
        """
        found = profile("torchvision:mobilenet_v2")
        first = 2 * 3 * 32 * 9 * 16**2
        assert found.layers[0] == flops.Layer("first", first, 32 * 16**2)
        assert found.layers[1] == flops.Layer("inner", 2 * 32 * 9 * 16**2, 32 * 16**2)
        assert found.flops(flops.TRAINING) == 3 * found.flops(flops.LOGITS) - first

    @sized(MATCHED_THROUGH)
    def test_features(self, case):
        network, found, images = case
        assert counted(network.features, images) == COUNT * found.flops(flops.FEATURES)

    @sized(MATCHED_THROUGH)
    def test_back_to_the_images(self, case):
        network, found, images = case
        network.requires_grad_(False)
        images.requires_grad_()

        def work():
            network.features(images)[-1].sum().backward()

        assert counted(work) == COUNT * found.flops(flops.FEATURES_TO_IMAGES)

    @sized(MATCHED_THROUGH + OTHERS)
    def test_gradients_of_the_convolutions_weights(self, case):
        network, found, images = case

        def work():
            torch.autograd.grad(loss_of(network.eval(), images), convolutions(network))

        assert counted(work) == COUNT * found.flops(flops.WEIGHT_GRADIENTS)

    @sized(MATCHED_THROUGH[:2])
    def test_second_derivatives_by_hand(self, case):
        network, found, images = case
        labels = torch.zeros(COUNT, dtype=torch.int64, device="meta")

        @torch.no_grad()
        def work():
            first = ConvNetPass(network, images, labels, 1, 1 / COUNT)
            first.along([weight.unsqueeze(0) for weight in convolutions(network)])

        assert counted(work) == COUNT * found.flops(flops.SECOND_DERIVATIVES)

    @pytest.mark.slow
    @sized(MATCHED_THROUGH[4:6] + [case for case in OTHERS if "resnet18" not in case[0]])
    def test_second_derivatives_by_differentiating_twice(self, case):
        network, found, images = case
        ours = COUNT * found.flops(flops.SECOND_DERIVATIVES_BY_AUTOGRAD)
        assert counted(differentiate_twice, network, images) == ours

    @sized([case for case in OTHERS if case[0] == "resnet18"])
    def test_second_derivatives_through_strides_take_little_more(self, case):
        """The gradient of a strided filter is computed with a row and a column too many."""
        network, found, images = case
        ours = COUNT * found.flops(flops.SECOND_DERIVATIVES_BY_AUTOGRAD)
        assert ours < counted(differentiate_twice, network, images) < 1.015 * ours


class TestMemory:
    @pytest.mark.parametrize(
        ("sizes", "training", "testing", "weights"),
        [
            ({}, 1_376_256, 1_048_576, 1_275_392),
            ({"image": (1, 28, 28)}, 1_376_256, 1_048_576, 1_266_176),
            (
                {"width": 24, "depth": 4, "classes": 7, "image": (3, 64, 48)},
                *(783_360, 589_824, 72_864),
            ),
        ],
        ids=str,
    )
    def test_convnets_by_arithmetic_on_their_sizes(self, sizes, training, testing, weights):
        found = profile(**sizes)
        assert (found.training_bytes, found.testing_bytes) == (training, testing)
        assert found.weight_bytes == weights

    @sized(MATCHED_THROUGH + OTHERS + GROUPED + ATTENTION + TIMM)
    def test_a_pass_keeps_about_what_torch_keeps(self, case):
        """Tensors that torch saves for the way back, each once, without the weights."""
        network, found, images = case
        weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
        kept = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                kept[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network.eval()(images)
        held = sum(storage.nbytes() for storage in kept.values())
        assert 0.7 * held < COUNT * found.training_bytes < 1.3 * held

    @sized(MATCHED_THROUGH)
    def test_blocks_are_those_that_are_matched(self, case):
        network, found, images = case
        blocks = [Block(x.shape[1], x.shape[2] * x.shape[3]) for x in network.features(images)]
        assert found.blocks == tuple(blocks)

    def test_a_network_that_is_not_matched_through_has_no_blocks(self):
        assert profile("resnet18").blocks == ()


class TestCounting:
    @pytest.mark.parametrize(
        "name", ["convnet", "resnet-ap", "vgg16", "resnet18", "densenet121", "torchvision:resnet18"]
    )
    def test_no_random_number_is_drawn(self, name, monkeypatch):
        def refuse(*_):
            raise AssertionError("weights are drawn")

        monkeypatch.setattr("hmnpack.networks.build.seeded_rng", refuse)
        profile_network.cache_clear()
        before = torch.get_rng_state()
        profile(name)
        assert torch.equal(torch.get_rng_state(), before)

    def test_what_needs_numbers_leaves_the_global_generator(self):
        profile_network.cache_clear()
        before = torch.get_rng_state()
        profile("torchvision:regnet_y_400mf")
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_network_is_counted_once(self):
        assert profile("resnet18") is profile("resnet18")
        assert profile("resnet18") is not profile("resnet18", classes=11)

    @pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
    def test_it_does_not_matter_who_asks(self, outside):
        expected = profile()
        profile_network.cache_clear()
        with outside():
            assert profile() == expected

    @pytest.mark.slow
    def test_a_convnet_needs_no_compiler(self):
        """torch loads its compiler for some of what a network does on `meta`, in a second."""
        script = """
            import sys
            from hmnpack.networks.profile import profile_network
            from hmnpack.schema.config import NetworkConfig
            from hmnpack.schema.container import ImageShape
            profile_network(NetworkConfig(), 10, ImageShape(channels=3, height=32, width=32))
            assert "torch._dynamo" not in sys.modules
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)

    @pytest.mark.parametrize(
        ("name", "image"),
        [
            ("convnet", (3, 4, 4)),
            ("resnet-ap", (3, 8, 8)),
            ("resnet-ap", (3, 16, 256)),
            ("vgg16", (1, 8, 20)),
            ("densenet121", (3, 16, 80)),
            ("torchvision:alexnet", (3, 32, 32)),
            ("torchvision:resnet81", (3, 32, 32)),
        ],
    )
    def test_what_cannot_be_built_is_refused_in_the_same_words(self, name, image):
        config, found = NetworkConfig(name=name), []
        makers = (
            lambda **given: build_network(config, generator=stream(0, "made"), **given),
            lambda **given: network_on_meta(config, **given),
            lambda **given: profile_network(config, *given.values()),
        )
        for make in makers:
            with pytest.raises(BadSettings) as refused:
                make(classes=10, image=shape(image))
            found.append(str(refused.value))
        assert len(set(found)) == 1
