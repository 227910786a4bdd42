"""New classes below a frozen decoder: their number, their range, and what is learned."""

import pytest
import torch

from hmnpack.container import appended_container, appended_spec, container_of
from hmnpack.container.clamp import clamp
from hmnpack.errors import BadSettings
from hmnpack.schema.config import ContainerConfig

CONFIG = ContainerConfig()


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("ipc", [1, 2])
def test_budget_is_spent_on_own_rows_alone(hmn, images, multi_formation, ipc):
    # Per class: 2 * 16 for the memory, 4 * (3 + 1) for the extractor; 16 per image.
    file = hmn(instances=(3, 5))
    spec = appended_spec(file, ipc, 3)
    assert spec == file.model_copy(update={"classes": 3, "instances": (ipc * 768 - 48) // 16})
    more = appended_spec(file, ipc, 3, over_budget=True)
    assert more.each == spec.each * 11 // 10
    assert appended_spec(images(), ipc, 3).each == ipc
    assert appended_spec(multi_formation(), ipc, 4).each == 4 * ipc


def test_limits_of_the_format_hold_for_old_and_new_classes_together(images):
    image = {"channels": 16, "height": 4096, "width": 4096}
    with pytest.raises(BadSettings, match=r"more than the maximum .*append fewer classes"):
        appended_spec(images(classes=40, instances=1, image=image), 1, 30)
    assert appended_spec(images(classes=40, instances=1, image=image), 1, 20).images == 20


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
@pytest.mark.parametrize("extractor", [4, None])
def test_images_are_those_that_the_stored_tensors_decode_to(bundle_of, hmn, dtype, extractor):
    file = bundle_of(hmn(dtype=dtype, extractor_channels=extractor))
    spec = appended_spec(file.manifest.container, 1, 3)
    grown = appended_container(spec, file.tensors, CONFIG, generator())
    with torch.no_grad():
        grown.instance.mul_(40)  # out of the range of 8 bits
    stored = grown.stored_tensors()
    kinds = {row.name: row.stored_as[0] for row in spec.ledger().rows}
    assert {name: tuple(each.shape) for name, each in stored.items()} == {
        row.name: row.shape for row in spec.ledger().rows
    }
    for name in ("memory.dataset", "decoder.0.weight", "decoder.1.bias"):
        assert stored[name] is file.tensors[name]
    assert kinds["memory.instance"] == dtype
    ours, again = grown.expand(), container_of(spec, stored).expand()
    rounding = {"F32": 1e-5, "F16": 0.02, "I8": 0.05}[dtype]
    torch.testing.assert_close(ours, again, rtol=0, atol=rounding)


def test_only_what_belongs_to_new_classes_is_learned(bundle_of, hmn):
    file = bundle_of(hmn())
    grown = appended_container(
        appended_spec(file.manifest.container, 1, 2), file.tensors, CONFIG, generator()
    )
    grown.expand().square().mean().backward()
    learned = {name for name, each in grown.named_parameters() if each.grad is not None}
    assert learned == grown.by_class


def test_start_does_not_depend_on_the_scales_of_the_file(bundle_of, hmn):
    """Memories times a number and the weights that read them divided by it are the same file."""
    file = bundle_of(hmn())
    spec = appended_spec(file.manifest.container, 1, 2)
    scaled = dict(file.tensors)
    scaled["memory.class"] = scaled["memory.class"] * 4
    weight = scaled["decoder.0.weight"].clone()
    weight[4:6] /= 4  # four channels of the extractor, two of the class, one of the image
    scaled["decoder.0.weight"] = weight
    one, other = (
        appended_container(spec, tensors, CONFIG, generator()).expand()
        for tensors in (file.tensors, scaled)
    )
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_clamp_lets_only_gradients_pass_that_lead_back():
    values = torch.tensor([-3.0, -3.0, 0.5, 4.0, 4.0], requires_grad=True)
    low, high = torch.tensor([-1.0]), torch.tensor([2.0])
    clamped = clamp(values, low, high)
    assert clamped.tolist() == [-1.0, -1.0, 0.5, 2.0, 2.0]
    clamped.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert values.grad.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]
