"""The memory model of matching against the tensors that torch holds on an accelerator.

Tensors are counted on the meta device, which computes blocks by the same operations as a GPU.
"""

import weakref
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hmnpack.matching.chunks import AdaptiveChunkSize
from hmnpack.matching.footprint import (
    Memory,
    StepShape,
    feature_load,
    feature_step,
    gradient_classes,
    gradient_step,
)
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import GradientConfig, MatchConfig, NetworkConfig
from hmnpack.schema.container import ImageShape

CIFAR = ImageShape(channels=3, height=32, width=32)


class HeldMemory(TorchDispatchMode):
    """Counts the bytes of all live tensors created by operations."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {id(storage) for storage in storages((args, kwargs))}
        found = func(*args, **(kwargs or {}))
        for storage in storages(found):
            if id(storage) not in before:
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return found

    def _gone(self, size):
        self.now -= size


def storages(values):
    leaves = tree_leaves(values)
    return [leaf.untyped_storage() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def peak_bytes(network, image, images):
    """Return the peak bytes of a forward and backward pass through all blocks."""
    made = build_network(network, classes=3, image=image, generator=stream(0, "made"))
    made = made.to("meta").requires_grad_(False)
    batch = torch.empty(images, image.channels, image.height, image.width, device="meta")
    with HeldMemory() as held:
        sum(block.sum() for block in made.features(batch.requires_grad_())).backward()
    return held.most


def predicted_bytes(network, image, images):
    return feature_load(StepShape(network, image, 3, synthetic=images, real=1)).bytes


@pytest.mark.parametrize("side", [32, 64])
def test_feature_matching_memory_matches_the_model(side):
    image, network = ImageShape(channels=3, height=side, width=side), NetworkConfig(width=32)
    predicted = predicted_bytes(network, image, 8)
    assert 0.85 * predicted < peak_bytes(network, image, 8) <= predicted


def test_residual_network_memory_stays_within_the_model():
    image, network = ImageShape(channels=3, height=64, width=64), NetworkConfig(name="resnet-ap")
    predicted = predicted_bytes(network, image, 2)
    assert peak_bytes(network, image, 2) <= predicted


def test_gradient_chunks_leave_memory_for_all_images(hmn):
    spec = hmn(classes=10, instances=20, image=CIFAR, decoder_channels=(10, 6))
    # Hand count: maps of 8, 16 and 32 pixels a side and the image, with gradients; five images.
    maps = 10 * 8**2 + 6 * 16**2 + 3 * 32**2
    per_image = 4 * (2 * (maps + 3 * 32**2) + 5 * 3 * 32**2)
    step = gradient_step(GradientConfig(real_batch=8), spec)
    assert (step.synthetic, step.held) == (20, 200 * per_image)
    assert gradient_step(GradientConfig(), spec, classes=4).held == 80 * per_image

    def at_once(bytes_held):
        # 3457024 is footprint.bytes_per_image for this network.
        return gradient_classes(
            replace(step, held=bytes_held), Memory(on_cpu=False, most=10 * 20 * 3457024)
        )

    assert at_once(0) == 10
    assert at_once(5 * 20 * 3457024) == 5
    assert at_once(2**40) == 1
    assert gradient_classes(step, Memory(on_cpu=True)) == 1


def test_feature_step_covers_one_part_per_class(hmn):
    spec = hmn(instances=7, image=CIFAR)
    match = MatchConfig(steps=1, synthetic_batch=5, real_batch=6)
    for parts, synthetic in ((1, 5), (2, 3), (7, 1)):
        step = feature_step(match, NetworkConfig(), spec, parts)
        assert (step.classes, step.synthetic, step.real) == (2, synthetic, 6)


class LimitedMemoryWork:
    """Work that runs out of memory with more than ``fits`` classes per chunk."""

    def __init__(self, fits, allowed=12, repeatable=True):
        self.fits, self.allowed, self.tried = fits, allowed, []
        self.chunk_size = AdaptiveChunkSize(repeatable=repeatable)

    def __call__(self):
        self.tried.append(self.chunk_size.limit(self.allowed))
        if self.tried[-1] > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(1.0)


def test_chunk_size_is_halved_after_out_of_memory():
    work = LimitedMemoryWork(fits=4)
    assert work.chunk_size.run(work) == 1
    assert work.tried == [12, 6, 3]
    work.chunk_size.run(work)
    assert work.tried[3:] == [3], "sizes that failed are not tried again"


def test_single_class_out_of_memory_is_raised():
    work = LimitedMemoryWork(fits=0, allowed=3)
    with pytest.raises(torch.OutOfMemoryError):
        work.chunk_size.run(work)
    assert work.tried == [3, 2, 1]


def test_several_ranks_do_not_repeat_failed_work():
    work = LimitedMemoryWork(fits=4, repeatable=False)
    with pytest.raises(torch.OutOfMemoryError):
        work.chunk_size.run(work)
    assert work.tried == [12]
