"""Hallucinators: images by their definition, the identity, storage and the plan."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.container import container_of, decode, new_container, planned
from hmnpack.container.budget import instances_within, ipc_of
from hmnpack.container.cost import decode_flops
from hmnpack.container.hallucinator import GREY, identities
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import HallucinatorSpec, ImageShape
from hmnpack.schema.hallucinator import HallucinatorConfig

CIFAR = ImageShape(channels=3, height=32, width=32)
GREYSCALE = ImageShape(channels=1, height=28, width=28)


def spec_of(*, count=3, channels=3, bases=2, dtype="F32"):
    return HallucinatorSpec(
        classes=2,
        instances=bases * count,
        image=ImageShape(channels=3, height=7, width=6),
        hallucinators=count,
        basis_channels=channels,
        dtype=dtype,
    )


def noise(spec):
    """Return a new container, with a random style."""
    container = new_container(spec, HallucinatorConfig(), stream(0, "container"))
    with torch.no_grad():
        for part in (container.scale, container.shift):
            part.add_(0.3 * torch.randn(part.shape, generator=stream(0, "style")))
    return container


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_every_hallucinator_of_every_basis(channels):
    """Against the two convolutions of one image at a time."""
    container = noise(spec_of(channels=channels))
    assert container.scale.shape == (3, 3, 5, 4)
    images = []
    for basis in container.bases:
        for index in range(3):
            encoded = F.conv2d(
                basis[None], container.encoder_weight[index], container.encoder_bias[index]
            )
            styled = container.scale[index] * encoded + container.shift[index]
            weight, bias = container.decoder_weight[index], container.decoder_bias[index]
            images.append(F.conv_transpose2d(styled, weight, bias)[0].clamp(0, 1))
    torch.testing.assert_close(container.expand(), torch.stack(images))
    assert container.labels().tolist() == [0] * 6 + [1] * 6
    assert container.expand(torch.tensor([], dtype=torch.int64)).shape == (0, 3, 7, 6)


@pytest.mark.parametrize("channels", [1, 3])
def test_identities_reproduce_the_bases_within_a_grey_border(channels):
    spec = spec_of(channels=channels)
    pixels = torch.rand(4, channels, 7, 6, generator=stream(0, "pixels"))
    container = container_of(spec, identities(spec) | {"memory.basis": pixels})
    images = container.expand()
    expected = pixels.expand(-1, 3, -1, -1).repeat_interleave(3, 0)
    torch.testing.assert_close(images[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    inside = torch.zeros(7, 6, dtype=torch.bool)
    inside[1:-1, 1:-1] = True
    assert (images[..., ~inside] == GREY).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_start_resembles_the_first_real_image_of_each_basis(channels):
    spec = spec_of(channels=channels)
    container = new_container(spec, HallucinatorConfig(), stream(0, "container"))
    targets = torch.randint(256, (12, 3, 7, 6), generator=stream(0, "real")).to(torch.uint8)
    container.start_from(targets, stream(0, "start"))
    first = targets[::3].float() / 255
    expected = first if channels == 3 else first.mean(1, keepdim=True)
    torch.testing.assert_close(container.bases.detach(), expected)
    images = container.expand().detach().unflatten(0, (-1, 3))
    inner = (images - expected[:, None])[..., 1:-1, 1:-1]
    assert inner.abs().mean() < 0.1
    assert not torch.equal(images[:, 0], images[:, 1])  # they can become different


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
def test_images_are_decoded_one_by_one_and_stored(dtype):
    spec = spec_of(dtype=dtype)
    made = noise(spec)
    container = container_of(spec, made.stored_tensors())
    everything = decode(container)
    alone = [decode(container, torch.tensor([index])) for index in range(spec.images)]
    torch.testing.assert_close(torch.cat(alone), everything, atol=1e-6, rtol=0)
    error = {"F32": 0, "F16": 4e-3, "I8": 1e-2}[dtype]
    torch.testing.assert_close(everything, made.expand().detach(), atol=error, rtol=0)
    shared = "F32" if dtype == "F32" else "F16"
    assert [row.dtype for row in spec.ledger().rows] == [dtype, *[shared] * 6]


@pytest.mark.parametrize("channels", [1, 3])
def test_flops_are_those_of_the_convolutions(channels):
    encoder, decoder = 5 * 4 * 3 * channels * 9, 5 * 4 * 3 * 3 * 9
    assert decode_flops(spec_of(channels=channels), 5) == 5 * 2 * (encoder + decoder)


@pytest.mark.parametrize(
    ("channels", "image", "floats"), [(3, CIFAR, 5568), (1, CIFAR, 5514), (1, GREYSCALE, 1372)]
)
def test_a_hallucinator_counts_in_full(channels, image, floats):
    spec = HallucinatorSpec(
        classes=2, instances=5, image=image, hallucinators=5, basis_channels=channels
    )
    assert spec.ledger().floats_by_role()["hallucinators"] == 5 * floats


@pytest.mark.parametrize(
    ("ipc", "classes", "sizes", "floats"),
    [
        (1, 10, (3, 1, 3), 26_782),  # hallucinators, channels of a basis, images per class
        (2, 10, (5, 3, 5), 58_560),
        (10, 10, (5, 3, 45), 304_320),
        (50, 10, (5, 3, 245), 1_533_120),
        (1, 100, (5, 1, 10), 232_370),
    ],
)
def test_plan_fits_the_budget(ipc, classes, sizes, floats):
    spec = planned(ipc, classes, CIFAR, HallucinatorConfig())
    assert (spec.hallucinators, spec.basis_channels, spec.instances) == sizes
    assert spec.ledger().floats == floats <= ipc * classes * 3072
    assert instances_within(spec, ipc) == spec.instances
    assert ipc_of(spec) <= ipc


def test_published_settings_are_over_budget():
    with pytest.raises(BudgetTooSmall, match=r"58560 \(1\.91 ipc\); at most 3 fit, with bases of"):
        planned(1, 10, CIFAR, HallucinatorConfig(hallucinators=5))
    assert planned(1, 10, CIFAR, HallucinatorConfig(hallucinators=3)).instances == 3
    with pytest.raises(BudgetTooSmall, match="none fits; the smallest ipc that works is 2, with"):
        planned(1, 10, GREYSCALE, HallucinatorConfig())
    assert planned(2, 10, GREYSCALE, HallucinatorConfig()).instances == 5


def test_plan_rejects_images_smaller_than_a_kernel():
    image = ImageShape(channels=1, height=2, width=9)
    with pytest.raises(BadSettings, match=r"2x9 are smaller than .* larger --size"):
        planned(5, 10, image, HallucinatorConfig())
