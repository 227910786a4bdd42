"""Cost per image: by hand, and by torch's counters on the real modules."""

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

WITH_FEATURES = [
    ("convnet", {}, 10, (3, 32, 32)),
    ("convnet", {}, 10, (1, 28, 28)),
    ("convnet", {"width": 24}, 5, (3, 9, 15)),
    ("convnet", {"width": 24, "depth": 4}, 7, (3, 64, 48)),
    ("resnet-ap", {}, 10, (1, 28, 28)),
    ("resnet-ap", {}, 10, (3, 64, 64)),
    ("resnet-ap", {}, 7, (3, 97, 80)),
    ("resnet-ap", {}, 10, (3, 224, 224)),
]
WITHOUT_FEATURES = [
    (name, {}, 10, image)
    for name in ("vgg16", "resnet18", "densenet121", "torchvision:resnet18", "torchvision:vgg11")
    for image in ((1, 28, 28), (3, 32, 32))
    if (name, image) != ("torchvision:vgg11", (1, 28, 28))  # too small for this network
]
GROUPED = [
    ("torchvision:mobilenet_v2", {}, 10, (3, 32, 32)),
    ("torchvision:convnext_tiny", {}, 10, (3, 32, 32)),
    ("torchvision:regnet_y_400mf", {}, 10, (3, 32, 32)),  # cannot be built on `meta`
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
    """A network on device `meta`, its profile, and images."""
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
    images = images.requires_grad_() * 1  # the counter's hooks do not support leaves
    loss = loss_of(network.eval(), images)
    gradients = torch.autograd.grad(loss, convolutions(network), create_graph=True)
    torch.autograd.grad(gradients, images, [torch.empty_like(each) for each in gradients])


class TestOperations:
    def test_forward_pass_of_the_papers_convnet_equals_hand_count(self):
        """By hand: 2 * (9 * (3 * 128 * 32^2 + 128^2 * 16^2 + 128^2 * 8^2) + 2048 * 10)."""
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

    @sized(WITH_FEATURES + WITHOUT_FEATURES + GROUPED + ATTENTION + TIMM)
    def test_forward_pass_equals_torchs_count(self, case):
        network, found, images = case
        assert counted(network.eval(), images) == COUNT * found.flops(flops.LOGITS)

    @sized(WITH_FEATURES + WITHOUT_FEATURES + ATTENTION + TIMM)
    def test_training_equals_torchs_count(self, case):
        network, found, images = case
        ours = COUNT * found.flops(flops.TRAINING)
        assert counted(lambda: loss_of(network.eval(), images).backward()) == ours

    def test_training_of_grouped_convolutions_is_three_forward_passes(self):
        """By definition; torch's counter counts the weight gradient as if it were ungrouped.

        The first layer of MobileNetV2 has 3 * 32 * 9 weights, stride 2, and no input gradient.
        """
        found = profile("torchvision:mobilenet_v2")
        first = 2 * 3 * 32 * 9 * 16**2
        assert found.layers[0] == flops.Layer("first", first, 32 * 16**2)
        assert found.layers[1] == flops.Layer("inner", 2 * 32 * 9 * 16**2, 32 * 16**2)
        assert found.flops(flops.TRAINING) == 3 * found.flops(flops.LOGITS) - first

    @sized(WITH_FEATURES)
    def test_features_equal_torchs_count(self, case):
        network, found, images = case
        assert counted(network.features, images) == COUNT * found.flops(flops.FEATURES)

    @sized(WITH_FEATURES)
    def test_image_gradients_equal_torchs_count(self, case):
        network, found, images = case
        network.requires_grad_(False)
        images.requires_grad_()

        def work():
            network.features(images)[-1].sum().backward()

        assert counted(work) == COUNT * found.flops(flops.FEATURES_TO_IMAGES)

    @sized(WITH_FEATURES + WITHOUT_FEATURES)
    def test_convolution_weight_gradients_equal_torchs_count(self, case):
        network, found, images = case

        def work():
            torch.autograd.grad(loss_of(network.eval(), images), convolutions(network))

        assert counted(work) == COUNT * found.flops(flops.WEIGHT_GRADIENTS)

    @sized(WITH_FEATURES[:2])
    def test_hand_written_second_derivatives_equal_torchs_count(self, case):
        network, found, images = case
        labels = torch.zeros(COUNT, dtype=torch.int64, device="meta")

        @torch.no_grad()
        def work():
            first = ConvNetPass(network, images, labels, 1, 1 / COUNT)
            first.along([weight.unsqueeze(0) for weight in convolutions(network)])

        assert counted(work) == COUNT * found.flops(flops.SECOND_DERIVATIVES)

    @pytest.mark.slow
    @sized(WITH_FEATURES[4:6] + [case for case in WITHOUT_FEATURES if "resnet18" not in case[0]])
    def test_double_backward_equals_torchs_count(self, case):
        network, found, images = case
        ours = COUNT * found.flops(flops.SECOND_DERIVATIVES_BY_AUTOGRAD)
        assert counted(differentiate_twice, network, images) == ours

    @sized(WITH_FEATURES[:2])
    def test_an_unrolled_training_step_equals_torchs_count(self, case):
        """Trajectory matching goes back through a step to the images and to all weights."""
        network, found, images = case
        weights = list(network.parameters())

        def work():
            copies = images.requires_grad_() * 1  # the counter's hooks do not support leaves
            loss = loss_of(network, copies)
            first = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
            along = sum(each.square().sum() for each in first)
            torch.autograd.grad(along, [copies, *weights], materialize_grads=True)

        assert counted(work) == COUNT * found.flops(flops.UNROLLED_STEP)

    @sized([case for case in WITHOUT_FEATURES if case[0] == "resnet18"])
    def test_double_backward_through_strides_takes_slightly_more(self, case):
        """torch computes the gradient of a strided filter with one extra row and column."""
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

    @sized(WITH_FEATURES + WITHOUT_FEATURES + GROUPED + ATTENTION + TIMM)
    def test_training_bytes_are_close_to_torchs_saved_tensors(self, case):
        """Tensors that torch saves for the backward pass, each once, without the weights."""
        network, found, images = case
        weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
        saved = {}

        def save(tensor):
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                saved[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            network.eval()(images)
        total = sum(storage.nbytes() for storage in saved.values())
        assert 0.7 * total < COUNT * found.training_bytes < 1.3 * total

    @sized(WITH_FEATURES)
    def test_blocks_have_the_shapes_of_the_features(self, case):
        network, found, images = case
        blocks = [Block(x.shape[1], x.shape[2] * x.shape[3]) for x in network.features(images)]
        assert found.blocks == tuple(blocks)

    def test_a_network_without_features_has_no_blocks(self):
        assert profile("resnet18").blocks == ()


class TestCounting:
    @pytest.mark.parametrize(
        "name", ["convnet", "resnet-ap", "vgg16", "resnet18", "densenet121", "torchvision:resnet18"]
    )
    def test_profiling_draws_no_random_numbers(self, name, monkeypatch):
        def fail(*_):
            raise AssertionError("weights are drawn")

        monkeypatch.setattr("hmnpack.networks.build.seeded_rng", fail)
        profile_network.cache_clear()
        before = torch.get_rng_state()
        profile(name)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_network_built_with_weights_leaves_the_global_generator_unchanged(self):
        profile_network.cache_clear()
        before = torch.get_rng_state()
        profile("torchvision:regnet_y_400mf")
        assert torch.equal(torch.get_rng_state(), before)

    def test_profiles_are_cached(self):
        assert profile("resnet18") is profile("resnet18")
        assert profile("resnet18") is not profile("resnet18", classes=11)

    @pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
    def test_profile_is_independent_of_the_callers_grad_mode(self, outside):
        expected = profile()
        profile_network.cache_clear()
        with outside():
            assert profile() == expected

    @pytest.mark.slow
    def test_profiling_a_convnet_does_not_import_torchs_compiler(self):
        """torch imports it for some operations on `meta`, which takes a second."""
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
    def test_invalid_networks_raise_the_same_message_everywhere(self, name, image):
        config, found = NetworkConfig(name=name), []
        makers = (
            lambda **given: build_network(config, generator=stream(0, "made"), **given),
            lambda **given: network_on_meta(config, **given),
            lambda **given: profile_network(config, *given.values()),
        )
        for make in makers:
            with pytest.raises(BadSettings) as raised:
                make(classes=10, image=shape(image))
            found.append(str(raised.value))
        assert len(set(found)) == 1
