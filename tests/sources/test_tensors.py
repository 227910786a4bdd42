"""Datasets from tensors and arrays in memory."""

import numpy as np
import pytest
import torch

import hmnpack
from hmnpack import tensor_source
from hmnpack.errors import BadData
from hmnpack.sources.types import split_of


def images_of(count, *shape):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


TRAIN = images_of(9, 3, 6, 8), torch.arange(9) % 3
TEST = images_of(4, 3, 6, 8), torch.tensor([2, 1, 0, 1])


def test_tensor_source_of_tensors():
    source = tensor_source(TRAIN, TEST, classes=("a", "b", "c"), name="mine")
    assert (source.name, source.classes, source.skipped) == ("mine", ("a", "b", "c"), 0)
    assert source.image.model_dump() == {"channels": 3, "height": 6, "width": 8}
    for split, (images, labels) in ((source.train, TRAIN), (source.test, TEST)):
        expected = split_of(images, labels)
        assert torch.equal(split.images, expected.images)
        assert torch.equal(split.labels, expected.labels)
        assert split.fingerprint == expected.fingerprint


def test_tensor_source_of_arrays_is_the_same():
    arrays = TRAIN[0].numpy(), TRAIN[1].numpy().astype(np.int32)
    source = tensor_source(arrays)
    assert source.train.fingerprint == tensor_source(TRAIN).train.fingerprint
    assert source.train.labels.dtype == torch.int64
    assert (source.classes, source.test) == (("0", "1", "2"), None)


def test_tensor_source_copies_its_input():
    images, labels = TRAIN[0].clone(), TRAIN[1].clone()
    source, expected = tensor_source((images, labels)), split_of(*TRAIN)
    assert torch.equal(images, TRAIN[0])
    images.zero_()
    labels.zero_()
    assert torch.equal(source.train.images, expected.images)
    assert torch.equal(source.train.labels, expected.labels)


@pytest.mark.parametrize(
    ("train", "test", "classes", "match"),
    [
        ((TRAIN[0] / 255, TRAIN[1]), None, None, r"train are torch\.float32; .*torch\.uint8"),
        ((TRAIN[0][:, 0], TRAIN[1]), None, None, r"shape \[9, 6, 8\]; give \[N, C, H, W\]"),
        ((TRAIN[0][:0], TRAIN[1][:0]), None, None, r"shape \[0, 3, 6, 8\]"),
        ((images_of(2, 17, 2, 2), [0, 1]), None, None, "1 to 16 channels"),
        ((images_of(2, 1, 4097, 1), [0, 1]), None, None, "sides from 1 to 4096"),
        ((TRAIN[0], TRAIN[1][:8]), None, None, r"int64 \[8\]; give one .* of the 9 images"),
        ((TRAIN[0], TRAIN[1].float()), None, None, r"labels of train are torch\.float32 \[9\]"),
        ((TRAIN[0], TRAIN[1] - 1), None, None, "label -1 of train is not a class"),
        ((TRAIN[0], TRAIN[1]), None, ("a", "b"), "label 2 of train is not a class"),
        ((TRAIN[0], TRAIN[1] * 2), None, None, "class '1' has no images in train"),
        (
            (TRAIN[0], TRAIN[1] * 10**10),
            None,
            None,
            "the highest label is 20000000000 with 9 images",
        ),
        (TRAIN, (TEST[0], TEST[1] + 1), None, "label 3 of test is not a class"),
        (TRAIN, (TEST[0][:, :, :5], TEST[1]), None, r"\[3, 6, 8\], of test \[3, 5, 8\]"),
        (TRAIN, (TEST[0].float(), TEST[1]), None, r"images of test are torch\.float32"),
    ],
)
def test_tensor_source_rejects_invalid_data(train, test, classes, match):
    with pytest.raises(BadData, match=match):
        tensor_source(train, test, classes=classes)


def test_class_names_may_be_an_array_but_not_empty():
    assert tensor_source(TRAIN, classes=np.array(["a", "b", "c"])).classes == ("a", "b", "c")
    with pytest.raises(BadData, match="classes is empty"):
        tensor_source(TRAIN, classes=[])


@pytest.mark.parametrize("name", ["", "x" * 1001])
def test_tensor_source_rejects_an_invalid_name(name):
    with pytest.raises(BadData, match=f"name has {len(name)} characters; use 1 to 1,000"):
        tensor_source(TRAIN, name=name)


def test_tensor_source_is_compressed_and_evaluated(tmp_path):
    train = images_of(60, 1, 8, 8), torch.arange(60) % 2
    test = images_of(10, 1, 8, 8), torch.arange(10) % 2
    source = tensor_source(train, test, name="noise")
    few = {"match.steps": 1, "warmup.steps": 1, "pool.train.epochs": 0}
    path = tmp_path / "noise.hmn"
    bundle = hmnpack.compress(source, 8, recipe="smoke", settings=few, output=path)
    assert bundle.manifest.source.fingerprint == source.train.fingerprint
    short = {"train.epochs": 1, "min_steps": 0, "network.width": 2, "baselines": False}
    found = hmnpack.evaluate(path, source, settings=short | {"network.depth": 2}, device="cpu")
    assert found.score.fingerprint == source.test.fingerprint
    assert len(found.rows[0].accuracies) == 3
