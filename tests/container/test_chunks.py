"""Decoding in chunks: chunk sizes, and the concatenation of chunks."""

import pytest
import torch

from hmnpack.container import container_of, decode, decoded_parts
from hmnpack.container.chunks import CHUNK_ELEMENTS, CPU_IMAGES, concatenate_parts, images_at_a_time
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape, ImagesSpec

CPU, ACCELERATOR = torch.device("cpu"), torch.device("meta")


def spec_of(side, instances=4):
    image = ImageShape(channels=1, height=side, width=side)
    return ImagesSpec(classes=2, instances=instances, image=image)


def test_chunk_size_is_limited_by_memory_and_on_a_cpu_by_its_cache():
    assert images_at_a_time(spec_of(64), ACCELERATOR) == CHUNK_ELEMENTS // 64**2
    assert images_at_a_time(spec_of(64), CPU) == CPU_IMAGES
    assert images_at_a_time(spec_of(4096), CPU) == CHUNK_ELEMENTS // 4096**2 == 4


def test_chunk_size_depends_on_a_layer_larger_than_the_image(hmn):
    spec = hmn(decoder_channels=(512, 6))
    assert spec.largest_layer > spec.image.elements
    assert images_at_a_time(spec, ACCELERATOR) == CHUNK_ELEMENTS // spec.largest_layer


def test_chunk_size_is_at_least_one(monkeypatch):
    monkeypatch.setattr("hmnpack.container.chunks.CHUNK_ELEMENTS", 5)
    assert images_at_a_time(spec_of(64), CPU) == 1


@pytest.mark.parametrize("sizes", [(3,), (2, 1), (1, 1, 1)])
def test_concatenate_parts_preserves_the_order(sizes):
    images = torch.rand(3, 1, 2, 2, generator=stream(0, "images"))
    assert torch.equal(concatenate_parts(iter(images.split(sizes)), 3), images)


def test_decoded_parts_respect_the_chunk_size_and_the_order_of_indices(monkeypatch):
    monkeypatch.setattr("hmnpack.container.chunks.CHUNK_ELEMENTS", 3 * 4**2)
    pixels = torch.rand(8, 1, 4, 4, generator=stream(0, "pixels"))
    container, indices = container_of(spec_of(4), {"pixels": pixels}), torch.tensor([7, 0, 1, 1, 5])
    parts = list(decoded_parts(container, indices))
    assert [len(part) for part in parts] == [3, 2]
    assert torch.equal(torch.cat(parts), pixels[indices])
    assert torch.equal(decode(container, indices), pixels[indices])
