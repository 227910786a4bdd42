import torch

from hmnpack.container import container_of, new_container
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import ImageShape, ImagesSpec

SPEC = ImagesSpec(classes=2, instances=3, image=ImageShape(channels=1, height=4, width=5))


def test_pixels_are_decoded_unchanged():
    pixels = torch.rand(6, 1, 4, 5, generator=stream(0, "pixels"))
    container = container_of(SPEC, {"pixels": pixels})
    assert torch.equal(container.expand(torch.tensor([5, 0])), pixels[[5, 0]])
    assert container.labels().tolist() == [0, 0, 0, 1, 1, 1]


def test_classes_may_have_unequal_counts():
    spec = ImagesSpec(classes=3, instances=(1, 3, 2), image=SPEC.image)
    pixels = torch.rand(6, 1, 4, 5, generator=stream(0, "pixels"))
    container = container_of(spec, {"pixels": pixels})
    assert torch.equal(container.expand(), pixels)
    assert container.labels().tolist() == [0, 1, 1, 1, 2, 2]


def test_pixels_are_clamped_but_have_gradients_outside_the_range():
    container = new_container(SPEC, ContainerConfig(), stream(0, "new"))
    with torch.no_grad():
        container.pixels.fill_(1.5)
    images = container.expand()
    assert images.max() == 1
    images.sum().backward()
    assert (container.pixels.grad == 1).all()
    assert container.stored_tensors()["pixels"].max() == 1


def test_gradients_that_move_pixels_further_out_of_range_are_zero():
    container = new_container(SPEC, ContainerConfig(), stream(0, "new"))
    with torch.no_grad():
        container.pixels.fill_(0.5)
        container.pixels[:, :, 0] = 1.5
        container.pixels[:, :, 1] = -0.5
    (-container.expand()).sum().backward()  # gradient descent would increase every pixel
    grad = container.pixels.grad
    assert (grad[:, :, 0] == 0).all()
    assert (grad[:, :, 1:] == -1).all()
