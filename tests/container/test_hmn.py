"""The HMN against its definition, written with torch's layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hmnpack.container import container_of, new_container
from hmnpack.container.base import ACTIVATIONS
from hmnpack.container.budget import plan
from hmnpack.container.chunks import CPU_IMAGES
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import HmnSpec, ImageShape

SMALL = ImageShape(channels=3, height=32, width=32)


def spec_of(**changes):
    fields = {
        "classes": 3,
        "instances": 5,
        "image": SMALL,
        "grid": 4,
        "dataset_channels": 5,
        "class_channels": 3,
        "instance_channels": 2,
        "extractor_channels": None,
        "decoder_channels": (10, 6),
        "activation": "relu",
    }
    return HmnSpec(**{**fields, **changes})


SPECS = [
    spec_of(),
    spec_of(extractor_channels=7, activation="gelu"),
    spec_of(image=ImageShape(channels=1, height=28, width=28)),
    spec_of(image=ImageShape(channels=3, height=40, width=24), activation="gelu"),
    spec_of(grid=2, decoder_channels=(4,), image=ImageShape(channels=1, height=8, width=8)),
    spec_of(grid=16, decoder_channels=()),
    spec_of(grid=3, decoder_channels=(8, 6, 4)),
    spec_of(instances=(9, 1, 5), extractor_channels=7),
    spec_of(instances=(1, 2, 9), grid=2, decoder_channels=(4,)),
]


def random_container(spec, norm="none"):
    config = ContainerConfig(activation=spec.activation, norm=norm)
    container = new_container(spec, config, stream(1, "test"))
    with torch.no_grad():  # the initial values of biases and norms would hide mistakes
        for name, parameter in container.named_parameters():
            if "bias" in name or "norm" in name:
                parameter.add_(torch.randn(parameter.shape, generator=stream(2, name)) * 0.3)
    return container


def decode_by_definition(container, index, norms=()):
    """Equation 1 for one image, layer by layer, with nothing shared or rearranged."""
    spec = container.spec
    labels = [label for label, count in enumerate(spec.counts) for _ in range(count)]
    label = labels[index]
    features = container.dataset
    if spec.extractor_channels is not None:
        weight = container.extractor_weight[label][:, :, None, None]
        features = F.conv2d(features[None], weight, container.extractor_bias[label])[0]
    x = torch.cat([features, container.classwise[label], container.instance[index]])[None]
    last = len(container.weights) - 1
    for layer, (weight, bias) in enumerate(zip(container.weights, container.biases, strict=True)):
        x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
        if layer < len(norms):
            x = norms[layer](x)
        if layer < last:
            x = ACTIVATIONS[spec.activation](x)
    size = (spec.image.height, spec.image.width)
    if x.shape[2:] != size:
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    return torch.sigmoid(x)[0]


@pytest.mark.parametrize("spec", SPECS)
def test_images_equal_equation_1(spec):
    container = random_container(spec)
    expected = torch.stack([decode_by_definition(container, i) for i in range(spec.images)])
    torch.testing.assert_close(container.expand(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_equal_those_of_equation_1(spec):
    container = random_container(spec).double()
    indices = torch.tensor([4, 0, 11, 4])
    weights = torch.randn(container.expand(indices).shape, dtype=torch.float64)
    fast = torch.autograd.grad(
        (container.expand(indices) * weights).sum(), list(container.parameters())
    )
    slow_images = torch.stack([decode_by_definition(container, int(i)) for i in indices])
    slow = torch.autograd.grad((slow_images * weights).sum(), list(container.parameters()))
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-8)


def test_images_are_independent_of_the_callers_autocast():
    container = random_container(spec_of(extractor_channels=7))
    expected = container.expand()
    with torch.autocast("cpu", torch.bfloat16):
        within = container.expand()
    assert within.dtype == torch.float32
    assert torch.equal(expected, within)


def test_classes_of_unequal_counts_decode_as_single_class_containers():
    """Each class of the container equals a container with only that class."""
    spec = spec_of(instances=(9, 1, 5), extractor_channels=7)
    container = random_container(spec)
    by_class = []
    for label, rows in enumerate((range(9), range(9, 10), range(10, 15))):
        tensors = {
            "memory.dataset": container.dataset,
            "memory.class": container.classwise[[label]],
            "memory.instance": container.instance[list(rows)],
            "extractor.weight": container.extractor_weight[[label]],
            "extractor.bias": container.extractor_bias[[label]],
        }
        for layer, pair in enumerate(zip(container.weights, container.biases, strict=True)):
            tensors[f"decoder.{layer}.weight"], tensors[f"decoder.{layer}.bias"] = pair
        single = spec.model_copy(update={"classes": 1, "instances": len(rows)})
        by_class.append(container_of(single, tensors).expand())
    torch.testing.assert_close(container.expand(), torch.cat(by_class), atol=1e-5, rtol=1e-5)
    assert container.labels().tolist() == [0] * 9 + [1] + [2] * 5


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_frozen_images_are_independent_of_the_others_in_a_call(norm):
    container = random_container(spec_of(), norm)
    container.freeze()
    everything = container.expand()
    for indices in ([3], [14, 0], [7, 7, 2], list(range(14, -1, -1))):
        some = container.expand(torch.tensor(indices))
        torch.testing.assert_close(some, everything[indices], atol=1e-6, rtol=1e-5)


def test_unfrozen_norms_are_batch_norms_of_the_decoded_images():
    container = random_container(spec_of(), "batch")
    indices = torch.tensor([0, 6, 12, 13])
    norms = []
    for ours in container.norms:
        norm = nn.BatchNorm2d(len(ours.scale))
        norm.load_state_dict({"weight": ours.scale.data, "bias": ours.shift.data}, strict=False)
        norms.append(norm)
    x = torch.cat(
        [
            container.dataset.expand(4, -1, -1, -1),
            container.classwise[indices // 5],
            container.instance[indices],
        ],
        1,
    )
    for layer in range(3):
        x = F.conv_transpose2d(
            x, container.weights[layer], container.biases[layer], stride=2, padding=1
        )
        if layer < 2:
            x = F.relu(norms[layer](x))
    torch.testing.assert_close(container.expand(indices), torch.sigmoid(x), atol=1e-5, rtol=1e-4)


def test_freezing_uses_the_statistics_of_all_images():
    container = random_container(spec_of(), "batch")
    before = container.expand()  # the batch contains all images
    container.freeze()
    torch.testing.assert_close(container.expand(), before, atol=1e-5, rtol=1e-4)


def test_folding_norms_changes_no_image():
    container = random_container(spec_of(extractor_channels=4), "batch")
    container.freeze()
    with torch.no_grad():
        for parameter in container.parameters():  # like matching steps after freezing
            parameter.add_(torch.randn(parameter.shape, generator=stream(3, "move")) * 0.05)
    folded = container_of(container.spec, container.stored_tensors())
    assert not folded._norms()
    torch.testing.assert_close(folded.expand(), container.expand(), atol=1e-5, rtol=0)


def test_stored_tensors_match_the_ledger():
    for spec in SPECS:
        tensors = random_container(spec, "batch").stored_tensors()
        rows = {row.name: row.shape for row in spec.ledger().rows}
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == rows
        assert all(tensor.dtype == torch.float32 for tensor in tensors.values())


def test_images_at_chunk_boundaries_equal_those_decoded_separately():
    spec = plan(1, 10, SMALL)
    container = container_of(spec, random_container(spec).stored_tensors())
    assert spec.images > 2 * CPU_IMAGES
    some = torch.tensor([0, CPU_IMAGES - 1, CPU_IMAGES, spec.images - 1])
    torch.testing.assert_close(container.expand()[some], container.expand(some))


def test_labels_are_ordered_by_class():
    assert random_container(spec_of()).labels().tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_initialisation_is_deterministic():
    first, second = (random_container(SPECS[1]).stored_tensors() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_state_dict_restores_a_frozen_container():
    container = random_container(spec_of(), "batch")
    container.freeze()
    other = random_container(spec_of(), "batch")
    other.load_state_dict(container.state_dict())
    assert torch.equal(other.expand(), container.expand())


def test_empty_indices_decode_to_no_images():
    container = container_of(spec_of(), random_container(spec_of()).stored_tensors())
    assert container.expand(torch.empty(0, dtype=torch.int64)).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gradients_with_several_threads_are_deterministic(norm):
    """Gradients of a class memory are summed over its images in a fixed order."""
    spec = spec_of(instances=200)
    chosen = torch.randint(spec.images, (500,), generator=torch.Generator().manual_seed(0))
    threads, found = torch.get_num_threads(), set()
    torch.set_num_threads(4)
    try:
        for _ in range(6):
            config = ContainerConfig(norm=norm)
            container = new_container(spec, config, torch.Generator().manual_seed(1))
            container.expand(chosen).square().sum().backward()
            gradients = [container.instance.grad, container.classwise.grad]
            found.add(b"".join(gradient.numpy().tobytes() for gradient in gradients))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1
