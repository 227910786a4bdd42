"""Images and labels in memory: types, layouts, strides, kinds of labels and names."""

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from fuzz_parts.names import draw_names
from fuzz_parts.pictures import Code
from fuzz_parts.truth import Picture, Truth
from PIL import Image


@dataclass
class Given:
    """Arguments of `tensor_source`, and what they mean.

    Attributes:
        train: Images and labels.
        test: The same, or None.
        arguments: `classes` and `name`.
        truth: What they mean; its `spec` is not used.
        words: What was chosen, to read.
    """

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None
    arguments: dict[str, Any]
    truth: Truth
    words: list[str]


def make(draw: Random) -> Given:
    """Return random images and labels in memory."""
    channels = draw.choice((1, 3, 3, 4, 2, 16))
    size = draw.choice((2, 5, 8, 16)), draw.choice((2, 6, 8, 20))
    count = draw.choice((2, 3, 7))
    names, classes = _classes(draw, count)
    truth = Truth(None, {}, names, [], read=_code)
    given = Given((None, None), None, classes, truth, [])
    given.train, truth.train = _split(draw, given, channels, size, all_needed=True)
    if draw.random() < 0.5:
        if draw.random() < 0.1:
            size = size[0] + 1, size[1]
            truth.problems.append("test of another size")
        given.test, truth.test = _split(draw, given, channels, size, all_needed=False)
    return given


def _classes(draw: Random, count: int) -> tuple[list[str], dict[str, Any]]:
    """Return the names that are expected, and the arguments that say so."""
    arguments: dict[str, Any] = {}
    if draw.random() < 0.5:
        return [str(label) for label in range(count)], arguments
    names = draw_names(draw, count, draw.choice((0, 0.5)))
    kinds = (list, tuple, list, lambda values: np.array(values, dtype=object))
    arguments["classes"] = draw.choice(kinds)(names)
    if draw.random() < 0.3:
        arguments["name"] = draw.choice(("mine", "a\nb", "é" * 1000, "[red]"))
    return names, arguments


def _split(
    draw: Random, given: Given, channels: int, size: tuple[int, int], *, all_needed: bool
) -> tuple[tuple[Any, Any], list[Picture]]:
    truth, count = given.truth, len(given.truth.classes)
    labels = list(range(count)) if all_needed else []
    labels += [draw.randrange(count) for _ in range(draw.randint(1, 9))]
    draw.shuffle(labels)
    generator = np.random.default_rng(draw.getrandbits(64))
    pixels = generator.integers(256, size=(len(labels), channels, *size), dtype=np.uint8)
    pictures = [
        Picture(truth.classes[label], tuple(image.flatten().tolist()), None, "good", size)
        for label, image in zip(labels, pixels, strict=True)
    ]
    return (_images(draw, pixels, given), _labels(draw, labels, given)), pictures


def _images(draw: Random, pixels: Any, given: Given) -> Any:
    """Return the images in one of many forms; forms that are refused become problems."""
    forms = {
        "array": lambda: pixels,
        "tensor": lambda: torch.from_numpy(pixels.copy()),
        "reversed": lambda: pixels[::-1].copy()[::-1],
        "strided": lambda: np.repeat(pixels, 2, axis=3)[..., ::2],
        "fortran": lambda: np.asfortranarray(pixels),
        "channels last memory": lambda: torch.from_numpy(pixels.copy()).contiguous(
            memory_format=torch.channels_last
        ),
        "transposed": lambda: torch.from_numpy(pixels.transpose(3, 2, 1, 0).copy()).permute(
            3, 2, 1, 0
        ),
        "list of arrays": lambda: list(pixels),
        "list of tensors": lambda: [torch.from_numpy(image.copy()) for image in pixels],
        "nested lists": lambda: torch.from_numpy(pixels.copy()),
        "read-only": lambda: _read_only(pixels),
        "sparse": lambda: torch.from_numpy(pixels.copy()).to_sparse(),
        "PIL": lambda: _pil(pixels),
        "tuple": lambda: tuple(pixels),
    }
    bad = {
        "float": lambda: pixels / np.float32(255),
        "float of a tensor": lambda: torch.from_numpy(pixels.copy()).float(),
        "int64": lambda: pixels.astype(np.int64),
        "bool": lambda: pixels > 127,
        "int8": lambda: pixels.view(np.int8),
        "uint16": lambda: pixels.astype(">u2"),
        "complex": lambda: pixels.astype(np.complex64),
        "text": lambda: pixels.astype(str),
        "no images": lambda: pixels[:0],
        "one image": lambda: pixels[0],
        "ragged": lambda: [pixels[0], pixels[0][:, :1]],
        "None": lambda: None,
        "empty list": lambda: [],
        "objects": lambda: [object()],
        "nan": lambda: np.full(pixels.shape, np.nan),
        "masked": lambda: np.ma.masked_array(pixels.astype(float), pixels > 9),
        "bfloat16": lambda: torch.from_numpy(pixels.copy()).to(torch.bfloat16),
        "meta": lambda: torch.empty(pixels.shape, dtype=torch.uint8, device="meta"),
        "generator": lambda: (image for image in pixels),
        "dict": lambda: {"images": pixels},
    }
    chosen = draw.choice(tuple(forms) * 5 + tuple(bad))
    given.words.append(chosen)
    if chosen in bad:
        given.truth.problems.append(f"images: {chosen}")
    return {**forms, **bad}[chosen]()


def _read_only(pixels: Any) -> Any:
    copy = pixels.copy()
    copy.flags.writeable = False
    return copy


def _pil(pixels: Any) -> Any:
    if pixels.shape[1] == 1:
        return [Image.fromarray(image[0]) for image in pixels]
    if pixels.shape[1] == 3:
        return [Image.fromarray(image.transpose(1, 2, 0).copy()) for image in pixels]
    return pixels


def _labels(draw: Random, labels: list[int], given: Given) -> Any:
    kinds = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">i4", ">u2")
    forms = {
        "list": lambda: list(labels),
        "tuple": lambda: tuple(labels),
        "array": lambda: np.array(labels, draw.choice(kinds)),
        "tensor": lambda: torch.tensor(
            labels, dtype=draw.choice((torch.int64, torch.uint8, torch.int16))
        ),
        "strided": lambda: np.repeat(np.array(labels), 3)[::3],
        "reversed": lambda: np.array(labels[::-1])[::-1],
        "numpy integers": lambda: [np.int16(label) for label in labels],
        "tensors": lambda: [torch.tensor(label) for label in labels],
        "range-like": lambda: np.array(labels, dtype=np.uint64),
    }
    bad = {
        "float": lambda: [float(label) for label in labels],
        "text": lambda: [str(label) for label in labels],
        "one-hot": lambda: np.eye(max(labels) + 1, dtype=int)[labels],
        "column": lambda: np.array(labels)[:, None],
        "short": lambda: labels[:-1],
        "negative": lambda: [-1, *labels[1:]],
        "too large": lambda: np.array([2**63, *labels[1:]], np.uint64),
        "huge": lambda: [10**30, *labels[1:]],
        "None": lambda: None,
        "none among them": lambda: [None, *labels[1:]],
        "nested": lambda: [[label] for label in labels],
        "dates": lambda: np.array(labels, "datetime64[D]"),
        "set": lambda: set(labels),
    }
    chosen = draw.choice(tuple(forms) * 6 + tuple(bad))
    given.words.append(chosen)
    if chosen in bad:
        given.truth.problems.append(f"labels: {chosen}")
    return {**forms, **bad}[chosen]()


def _code(image: Any) -> Code:
    """Return who an image is: all of its pixels."""
    return tuple(image.flatten().tolist())


def comparable(given: Given) -> list[Any]:
    """Return the dense arrays and tensors that were given."""
    values = [*given.train, *(given.test or ())]
    return [
        value
        for value in values
        if isinstance(value, np.ndarray)
        or (isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta)
    ]
