"""Linear basis: images by their definition, the start from real images, storage and the plan."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.container import container_of, decode, new_container, planned
from hmnpack.container.budget import images_within, ipc_of
from hmnpack.container.cost import decode_flops
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape, LinearBasisSpec
from hmnpack.schema.linear_basis import LinearBasisConfig

CIFAR = ImageShape(channels=3, height=32, width=32)


def spec_of(height=8, width=8, *, bases=4, instances=5, dtype="F32"):
    return LinearBasisSpec(
        classes=2,
        instances=instances,
        image=ImageShape(channels=3, height=height, width=width),
        bases=bases,
        dtype=dtype,
    )


def noise(spec):
    """Return a new container: averages of noise."""
    return new_container(spec, LinearBasisConfig(), stream(0, "container"))


def real_images(spec):
    """Return smooth random images: uint8 [N, C, H, W]."""
    image, generator = spec.image, stream(0, "images")
    coarse = torch.rand(spec.images, image.channels, 3, 3, generator=generator)
    fine = F.interpolate(coarse, (image.height, image.width), mode="bilinear")
    return (fine * 255).round().to(torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (1, 2)])
def test_images_are_enlarged_sums_of_the_bases(height, width):
    container = noise(spec_of(height, width))
    with torch.no_grad():
        container.coefficients.mul_(3).sub_(0.5)  # outside the range too
    small = torch.zeros(10, *container.bases.shape[1:])
    for index in range(10):
        for number in range(4):
            small[index] += container.coefficients[index, number] * container.bases[number]
    expected = F.interpolate(small, (height, width), mode="bilinear").clamp(0, 1)
    torch.testing.assert_close(container.expand(), expected)
    assert container.labels().tolist() == [0] * 5 + [1] * 5


def test_start_has_the_least_error_of_so_many_bases():
    """Against a full singular value decomposition of the images at half the side."""
    errors = []
    for bases in (1, 4, 10):
        spec = spec_of(bases=bases)
        targets = real_images(spec)
        half = F.interpolate(targets.float() / 255, (4, 4), mode="bilinear", antialias=True)
        u, s, v = torch.linalg.svd(half.flatten(1), full_matrices=False)
        best = ((u[:, :bases] * s[:bases]) @ v[:bases]).view_as(half)
        container = noise(spec)
        container.start_from(targets, stream(0, "start"))
        small = (container.coefficients @ container.bases.flatten(1)).view_as(half)
        torch.testing.assert_close(small.detach(), best, atol=1e-3, rtol=0)
        errors.append(float((container.expand().detach() - targets / 255).square().mean()))
    assert errors[0] > errors[1] > errors[2]


def test_start_with_more_bases_than_images_can_learn_with_all_of_them():
    container = noise(spec_of(bases=30))
    container.start_from(real_images(container.spec), stream(0, "start"))
    container.expand().square().sum().backward()
    assert container.bases.isfinite().all()
    assert (container.coefficients.grad.abs().amax(0) > 0).all()


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
def test_images_are_decoded_one_by_one_and_stored(dtype):
    spec = spec_of(dtype=dtype)
    made = noise(spec)
    with torch.no_grad():
        made.bases[0] *= 100  # the scales of the bases differ
        made.coefficients[:, 0] /= 100
    container = container_of(spec, made.stored_tensors())
    everything = decode(container)
    alone = [decode(container, torch.tensor([index])) for index in range(spec.images)]
    torch.testing.assert_close(torch.cat(alone), everything, atol=1e-6, rtol=0)
    error = {"F32": 1e-6, "F16": 1e-3, "I8": 1 / 128}[dtype]
    torch.testing.assert_close(everything, made.expand().detach(), atol=error, rtol=0)
    coefficients = "F32" if dtype == "F32" else "F16"
    assert [row.dtype for row in spec.ledger().rows] == [dtype, coefficients]


def test_flops_are_those_of_the_matrix_product():
    assert decode_flops(spec_of(7, 10), 3) == 3 * 2 * 4 * (3 * 4 * 5)


@pytest.mark.parametrize(
    ("ipc", "bases", "images", "floats"),
    [
        *((1, 16, 115, 30_688), (1, 8, 307, 30_704), (1, 32, 19, 30_656)),
        *((10, 32, 883, 307_136), (10, 128, 163, 306_944), (50, 64, 2323, 1_535_872)),
    ],
)
def test_plan_counts_bases_and_coefficients(ipc, bases, images, floats):
    """LinBa's n = floor((budget - K d) / (classes K)), with d = 768 at 32 x 32."""
    spec = planned(ipc, 10, CIFAR, LinearBasisConfig(bases=bases))
    assert (spec.instances, spec.ledger().floats) == (images, floats)
    assert images == (ipc * 30_720 - bases * 768) // (10 * bases)
    assert ipc_of(spec) == ipc
    assert images_within(spec, ipc) // 10 == images


@pytest.mark.parametrize(
    ("ipc", "classes", "image", "bases"),
    [
        *((1, 10, (3, 32, 32), 16), (10, 10, (3, 32, 32), 128), (50, 10, (3, 32, 32), 256)),
        *((1, 10, (1, 28, 28), 16), (1, 10, (1, 8, 8), 16), (1, 1000, (1, 8, 8), 16)),
        *((1, 2, (1, 2, 2), 1), (1, 1, (1, 1, 1), None), (1, 2, (3, 224, 224), 2)),
    ],
)
def test_plan_chooses_the_number_of_bases(ipc, classes, image, bases):
    shape = ImageShape(channels=image[0], height=image[1], width=image[2])
    if bases is None:
        with pytest.raises(BudgetTooSmall, match=r"1 bases .* need 2; .* this number is 2"):
            planned(ipc, classes, shape, LinearBasisConfig())
        return
    spec = planned(ipc, classes, shape, LinearBasisConfig())
    assert spec.bases == bases
    assert 5 * bases * spec.half_elements <= 2 * ipc * classes * shape.elements
    assert spec.instances >= 2 * ipc
    assert spec.ledger().floats <= ipc * classes * shape.elements


def test_too_many_bases_name_the_smallest_ipc_that_works():
    with pytest.raises(BudgetTooSmall, match=r"need 31120; lower container\.bases; .* is 2$"):
        planned(1, 10, CIFAR, LinearBasisConfig(bases=40))
    assert planned(2, 10, CIFAR, LinearBasisConfig(bases=40)).instances == 76


def test_plan_beyond_a_limit_of_the_format_is_rejected():
    with pytest.raises(BadSettings, match="the plan exceeds a limit of the format"):
        planned(100_000, 1000, CIFAR, LinearBasisConfig())
