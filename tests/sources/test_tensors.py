"""Datasets from tensors and arrays in memory."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

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
    assert (source.name, source.classes, source.skipped) == ("mine", ("a", "b", "c"), {})
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


@pytest.mark.parametrize(
    "form",
    [
        lambda images, labels: (
            images.numpy()[::-1].copy()[::-1],
            labels.numpy()[::-1].copy()[::-1],
        ),
        lambda images, labels: (images.numpy()[..., ::-1].copy()[..., ::-1], labels.tolist()),
        lambda images, labels: (images.numpy(), labels.numpy().astype(">i8")),
        lambda images, labels: (images.numpy(), labels.numpy().astype(">u2")),
        lambda images, labels: (images.numpy(), tuple(labels.numpy())),
        lambda images, labels: (list(images), list(labels)),
        lambda images, labels: (list(images.numpy()), labels.to(torch.int8)),
        lambda images, labels: (np.asfortranarray(images.numpy()), labels),
        lambda images, labels: (images.to_sparse(), labels),
        lambda images, labels: (
            images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
            labels,
        ),
        lambda images, labels: (
            [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in images],
            labels,
        ),
    ],
)
def test_tensor_source_does_not_depend_on_how_numbers_are_held(form):
    source = tensor_source(form(*TRAIN))
    assert source.train.fingerprint == tensor_source(TRAIN).train.fingerprint


def test_one_image_in_reverse_order_is_taken():
    image, label = TRAIN[0][:1].numpy(), np.zeros(1, np.int64)
    reverse = tensor_source((image[::-1], label[::-1]))
    assert reverse.train.fingerprint == tensor_source((image, label)).train.fingerprint


def test_read_only_array_is_taken_without_a_warning():
    images = np.frombuffer(TRAIN[0].numpy().tobytes(), np.uint8).reshape(TRAIN[0].shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = tensor_source((images, TRAIN[1]))
    assert source.train.fingerprint == tensor_source(TRAIN).train.fingerprint


def test_grey_pil_images_have_one_channel():
    images = images_of(4, 1, 6, 8)
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    source, expected = (tensor_source((given, [0, 1, 0, 1])) for given in (pictures, images))
    assert source.train.fingerprint == expected.train.fingerprint


NOISE = TRAIN[0].numpy()


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (NOISE, ["cat", "dog", "eel"] * 3, "labels of train are text, such as 'cat'; number the"),
        (
            NOISE,
            np.array(["cat", "dog", "eel"] * 3, object),
            "labels .* type object, such as 'cat'",
        ),
        (NOISE, [b"cat"] * 9, "labels of train are text"),
        (NOISE, [0, 1, 2] * 2 + [0, 1, None], "labels of train are of type object"),
        (NOISE, [[0], [1, 2]] * 4, "labels of train cannot be put in one array"),
        (NOISE, np.zeros(9, "datetime64[s]"), r"labels of train are of type datetime64\[s\]"),
        (NOISE, np.ones(9, complex), "labels of train are of type complex128"),
        (NOISE, torch.ones(9, dtype=torch.complex64), "labels of train are complex numbers"),
        (NOISE, [2**64] + [0] * 8, "labels of train"),
        (TRAIN[0].to("meta"), TRAIN[1], "images of train have no values, only a shape"),
        (NOISE, TRAIN[1].to("meta"), "labels of train have no values, only a shape"),
        ("pets.npy", [0], "images of train are text, such as 'pets.npy'; give a tensor or an"),
        (None, [0], "images of train are of type object, such as 'None'"),
        ([NOISE[0], NOISE[1, :, :5]], [0, 1], "images of train cannot be put in one array"),
        ([*TRAIN[0][:1], TRAIN[0][1, :, :5]], [0, 1], "images of train cannot be put in one array"),
        ([Image.new("L", (3, 3)), Image.new("RGB", (3, 3))], [0, 1], "PIL images of mode L, RGB"),
        ([Image.new("P", (3, 3))] * 2, [0, 1], "PIL images of mode P, not all L or all RGB"),
        ([Image.new("L", (3, 3)), Image.new("L", (3, 4))], [0, 1], "cannot be put in one array"),
        (NOISE / 255, TRAIN[1], r"float64; .* \(255 \* images\)\.round\(\)\.to\(torch\.uint8\)"),
        (
            NOISE.astype(">f4"),
            TRAIN[1],
            r"float32; .* example images\.round\(\)\.to\(torch\.uint8\)",
        ),
        (NOISE.astype(np.longdouble), TRAIN[1], r"float64; .* example images\.round\(\)"),
        (NOISE.astype(np.uint16), TRAIN[1], r"uint16; .* example images\.round\(\)"),
        (NOISE > 99, TRAIN[1], r"torch\.bool; .* \(255 \* images\)"),
        (NOISE / 128 - 1.0, TRAIN[1], r"undoing the normalisation; their values are from -1 to"),
    ],
)
def test_what_no_image_tensor_can_be_made_of_is_told_in_one_line(images, labels, match):
    with pytest.raises(BadData, match=match) as caught:
        tensor_source((images, labels))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(8, 8, 1), (8, 8, 3), (16, 16, 3), (12, 9, 4), (2, 2, 1), (224, 224, 3)]
)
def test_channels_last_images_are_refused_with_the_permutation(shape):
    match = r"train have shape .* channels last; .* images\.permute\(0, 3, 1, 2\)"
    with pytest.raises(BadData, match=match):
        tensor_source((images_of(4, *shape), [0, 1, 0, 1]))
    source = tensor_source((images_of(4, *shape).permute(0, 3, 1, 2), [0, 1, 0, 1]))
    assert source.image.channels == shape[-1]


@pytest.mark.parametrize(
    "shape", [(1, 8, 3), (3, 8, 1), (4, 2, 3), (3, 3, 3), (5, 8, 8), (16, 4, 5)]
)
def test_narrow_images_are_not_taken_for_channels_last(shape):
    source = tensor_source((images_of(4, *shape), [0, 1, 0, 1]))
    assert (source.image.channels, source.image.height, source.image.width) == shape


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
        ((TRAIN[0], TRAIN[1] * 2), None, None, "no image has label 1"),
        (
            (TRAIN[0], TRAIN[1] * 10**10),
            None,
            None,
            "the highest label is 20000000000 with only 9 images",
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


@pytest.mark.parametrize(
    "classes", [{"dog": 1, "cat": 0}, {"cat", "dog"}, frozenset({"cat", "dog"}), "ab", b"ab"]
)
@pytest.mark.parametrize("call", [tensor_source, hmnpack.pack])
def test_class_names_without_the_order_of_labels_are_rejected(classes, call):
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    given = ((images, [0, 1]),) if call is tensor_source else (images, [0, 1])
    more = {} if call is tensor_source else {"ipc": 9}
    with pytest.raises(BadData, match=r"classes is a .*: give a list of names"):
        call(*given, classes=classes, **more)


@pytest.mark.parametrize(("labels", "missing"), [([1, 2], 0), ([0, 2, 2], 1), ([3, 1, 0, 3], 2)])
@pytest.mark.parametrize("call", [tensor_source, hmnpack.pack])
def test_unnamed_labels_with_gaps_are_rejected_with_what_to_do(labels, missing, call):
    images = torch.zeros(3 + len(labels), 3, 4, 4, dtype=torch.uint8)
    every = [*labels, *[labels[0]] * 3]
    given = ((images, every),) if call is tensor_source else (images, every)
    more = {} if call is tensor_source else {"ipc": 9}
    with pytest.raises(BadData, match=rf"has label {missing}, .* number the classes from 0"):
        call(*given, **more)
