"""Decoding some images at a time: how many, and that nothing shows where one part ends."""

import pytest
import torch

from hmnpack.container import container_of, decode, decoded_parts
from hmnpack.container.chunks import CHUNK_ELEMENTS, CPU_IMAGES, images_at_a_time, put_together
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape, ImagesSpec

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


def spec_of(side, instances=4):
    image = ImageShape(channels=1, height=side, width=side)
    return ImagesSpec(classes=2, instances=instances, image=image)


def test_a_device_decodes_what_its_memory_is_said_to_hold_and_a_cpu_what_its_cache_holds():
    assert images_at_a_time(spec_of(64), ELSEWHERE) == CHUNK_ELEMENTS // 64**2
    assert images_at_a_time(spec_of(64), CPU) == CPU_IMAGES
    assert images_at_a_time(spec_of(4096), CPU) == CHUNK_ELEMENTS // 4096**2 == 4


def test_the_largest_layer_counts_where_it_is_larger_than_the_image(hmn):
    spec = hmn(decoder_channels=(512, 6))
    assert spec.largest_layer > spec.image.elements
    assert images_at_a_time(spec, ELSEWHERE) == CHUNK_ELEMENTS // spec.largest_layer


def test_one_image_is_decoded_however_large(monkeypatch):
    monkeypatch.setattr("hmnpack.container.chunks.CHUNK_ELEMENTS", 5)
    assert images_at_a_time(spec_of(64), CPU) == 1


@pytest.mark.parametrize("sizes", [(3,), (2, 1), (1, 1, 1)])
def test_parts_are_put_together_in_order(sizes):
    images = torch.rand(3, 1, 2, 2, generator=stream(0, "images"))
    assert torch.equal(put_together(iter(images.split(sizes)), 3), images)


def test_no_part_is_larger_than_said_and_they_come_in_the_order_asked_for(monkeypatch):
    monkeypatch.setattr("hmnpack.container.chunks.CHUNK_ELEMENTS", 3 * 4**2)
    pixels = torch.rand(8, 1, 4, 4, generator=stream(0, "pixels"))
    container, asked = container_of(spec_of(4), {"pixels": pixels}), torch.tensor([7, 0, 1, 1, 5])
    parts = list(decoded_parts(container, asked))
    assert [len(part) for part in parts] == [3, 2]
    assert torch.equal(torch.cat(parts), pixels[asked])
    assert torch.equal(decode(container, asked), pixels[asked])
