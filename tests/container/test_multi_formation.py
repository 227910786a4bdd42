"""Multi-formation: tiles by their definition, the start from real images, storage and the plan."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.container import container_of, decode, new_container, planned
from hmnpack.container.budget import images_within, ipc_of
from hmnpack.errors import BadSettings
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape, MultiFormationSpec
from hmnpack.schema.multi_formation import MultiFormationConfig

CIFAR = ImageShape(channels=3, height=32, width=32)


def spec_of(height, width, factor, *, canvases=2, dtype="F32"):
    return MultiFormationSpec(
        classes=2,
        instances=canvases * factor**2,
        image=ImageShape(channels=3, height=height, width=width),
        factor=factor,
        dtype=dtype,
    )


def noise(spec):
    """Return a new container: canvases of noise."""
    return new_container(spec, MultiFormationConfig(), stream(0, "container"))


def by_definition(canvas, factor):
    """Return the images of a canvas, cut with plain slices: [f * f, C, H, W]."""
    _, height, width = canvas.shape
    h, w = -(-height // factor), -(-width // factor)
    padded = torch.full((3, factor * h, factor * w), 0.5)
    padded[:, :height, :width] = canvas
    tiles = [
        padded[:, row * h : (row + 1) * h, column * w : (column + 1) * w]
        for row in range(factor)
        for column in range(factor)
    ]
    return F.interpolate(torch.stack(tiles), (height, width), mode="bilinear")


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(8, 8, 2), (9, 9, 3), (7, 10, 3), (5, 8, 2)]
)
def test_images_are_the_enlarged_tiles_of_the_canvases(height, width, factor):
    container = noise(spec_of(height, width, factor))
    expected = torch.cat([by_definition(canvas, factor) for canvas in container.canvases.detach()])
    torch.testing.assert_close(container.expand().detach(), expected)


def test_factor_of_one_is_the_identity():
    container = noise(spec_of(6, 5, 1))
    assert torch.equal(container.expand(), container.canvases)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_tiles_start_as_real_images_in_their_order(size):
    """Constant images, so that resizing does not change them; padding blurs the last tiles."""
    spec = spec_of(*size, 2)
    targets = torch.arange(spec.images, dtype=torch.uint8)[:, None, None, None] * 15
    targets = targets.expand(-1, 3, *size)
    container = noise(spec)
    container.start_from(targets, stream(0, "start"))
    first = [0, 4, 8, 12]  # tile (0, 0) of every canvas
    torch.testing.assert_close(container.expand().detach()[first], targets[first] / 255)
    if size == (8, 8):
        torch.testing.assert_close(container.expand().detach(), targets / 255)


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
def test_images_are_decoded_one_by_one_and_stored(dtype):
    spec = spec_of(8, 8, 2, dtype=dtype)
    made = noise(spec)
    container = container_of(spec, made.stored_tensors())
    everything = decode(container)
    alone = [decode(container, torch.tensor([index])) for index in range(spec.images)]
    assert torch.equal(torch.cat(alone), everything)
    error = {"F32": 0, "F16": 2.5e-4, "I8": 0.51 / 255}[dtype]
    torch.testing.assert_close(everything, made.expand().detach(), atol=error, rtol=0)
    assert [row.dtype for row in spec.ledger().rows] == [dtype]


def test_eight_bits_are_pixels():
    spec = spec_of(4, 4, 1, dtype="I8")
    pixels = torch.arange(192, dtype=torch.uint8).reshape(4, 3, 4, 4) + 64
    container = noise(spec)
    container.start_from(pixels, stream(0, "start"))
    stored = container.stored_tensors()["memory.canvas"]
    assert torch.equal(stored.int() + 128, pixels.int())
    decoded = decode(container_of(spec, container.stored_tensors()))
    assert torch.equal((decoded * 255).round().to(torch.uint8), pixels)


def test_gradients_reach_only_the_canvases_of_the_images():
    container = noise(spec_of(8, 8, 2))
    container.expand(torch.tensor([5])).sum().backward()
    moved = container.canvases.grad != 0
    assert moved[1, :, :4, 4:].all()  # image 5 is tile 1 of canvas 1
    assert moved.sum() == 3 * 16


@pytest.mark.parametrize(("ipc", "floats"), [(1, 30_720), (10, 307_200)])
def test_plan_fills_the_budget_with_canvases(ipc, floats):
    spec = planned(ipc, 10, CIFAR, MultiFormationConfig())
    assert (spec.factor, spec.instances, spec.ledger().floats) == (2, 4 * ipc, floats)
    assert (ipc_of(spec), images_within(spec, ipc)) == (ipc, 40 * ipc)
    more = planned(ipc, 10, CIFAR, MultiFormationConfig(), over_budget=True)
    assert more.instances == 4 * max(ipc + 1, ipc * 11 // 10)


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(28, 28, 2), (64, 64, 2), (96, 40, 3), (224, 224, 3), (1, 50, 1)],
)
def test_plan_has_the_papers_factor(height, width, factor):
    image = ImageShape(channels=3, height=height, width=width)
    assert planned(2, 10, image, MultiFormationConfig()).factor == factor


def test_plan_rejects_a_factor_that_leaves_empty_tiles():
    image = ImageShape(channels=1, height=8, width=8)
    with pytest.raises(BadSettings, match=r"factor 5 leaves tiles .* lower .* container\.factor"):
        planned(1, 10, image, MultiFormationConfig(factor=5))
