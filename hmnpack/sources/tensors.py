"""Datasets from tensors or arrays in memory."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.sources.arrays import tensor_of
from hmnpack.sources.assemble import check_labels
from hmnpack.sources.convention import class_names
from hmnpack.sources.types import MAX_SIDE, Source, split_of

MAX_CHANNELS = 16
"""Maximum number of channels of an image, as in the schema."""

MAX_NAME = 1000
"""Maximum length of a dataset's name in characters, as in the schema."""

WHITE = 255
"""Maximum value of an 8-bit pixel."""

_AXES = 4

_USUAL_CHANNELS = (1, 3, 4)
"""Numbers of channels of nearly all images: grey, colour, colour with transparency."""


@with_torch_defaults
def tensor_source(
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "tensors",
) -> Source:
    """Return a dataset of images and labels in memory.

    Args:
        train: Pixels from 0 to 255, uint8 [N, C, H, W], and labels, integers [N] from 0. Tensors
            on any device, arrays, or lists of them; they are copied. The images may also be a
            list of PIL images, all of mode L or all of mode RGB.
        test: The same for the test split, on which networks are tested; None: no test split.
        classes: Class names; the index is the label. None: the labels as text. Classes without
            training images must be left out with ``Source.only`` before the dataset is used.
        name: Name of the dataset, recorded in bundles. It need not be unique: scores identify
            data by fingerprint.

    Example:
        >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
        >>> source = tensor_source((images, [0, 1, 0, 1]), classes=["cat", "dog"])
        >>> source.image.elements, source.classes
        (3072, ('cat', 'dog'))

    Raises:
        BadData: if the pixels are not uint8, shapes do not match, a label is not a class, or the
            name is empty or too long for a bundle.
    """
    check_name(name)
    images, labels = _checked("train", *train)
    tested = None if test is None else _checked("test", *test)
    if tested and tested[0].shape[1:] != images.shape[1:]:
        shapes = list(images.shape[1:]), list(tested[0].shape[1:])
        raise BadData(f"images of train are {shapes[0]}, of test {shapes[1]}; resize one split")
    names = _names(classes, labels)
    check_labels(names, labels, needed=())
    if tested:
        check_labels(names, tested[1], "test")
    split = split_of(images, labels, owned=True)
    return Source(name, tuple(names), split, split_of(*tested, owned=True) if tested else None)


def _names(classes: Sequence[str] | None, labels: Tensor) -> list[str]:
    names = class_names(classes, labels)
    if not names:
        raise BadData("classes is empty; pass None to name classes by their labels")
    return names


def _checked(part: str, images: Any, labels: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Return a validated copy of one split as tensors."""
    pixels = tensor_of(images, f"images of {part}")
    targets = tensor_of(labels, f"labels of {part}")
    check_images_and_labels(pixels, targets, f" of {part}")
    if pixels.dtype != torch.uint8:
        raise BadData(
            f"images of {part} are {pixels.dtype}; give pixels from 0 to 255 as torch.uint8, for "
            f"example {_conversion(pixels)}"
        )
    images = pixels.to("cpu", copy=True, memory_format=torch.contiguous_format)
    return images, targets.to("cpu", torch.int64, copy=True)


def _conversion(pixels: Tensor) -> str:
    """Return the code that makes uint8 pixels of these, judged by their values."""
    values = pixels if pixels.is_floating_point() else pixels.float()
    least, most = values.min().item(), values.max().item()
    if least >= 0 and most <= 1:
        return "(255 * images).round().to(torch.uint8)"
    if least >= 0 and most <= WHITE:
        return "images.round().to(torch.uint8)"
    return f"by undoing the normalisation; their values are from {least:.3g} to {most:.3g}"


def check_name(name: str) -> None:
    """Check that a bundle can record a dataset's name.

    Raises:
        BadData: if it is empty or too long.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise BadData(f"the dataset's name has {len(name)} characters; use 1 to {MAX_NAME:,}")


def check_images_and_labels(pixels: Tensor, labels: Tensor, of: str = "") -> None:
    """Check that images have the shape [N, C, H, W] and one integer label each.

    Args:
        pixels: Images of any dtype.
        labels: Labels of any value.
        of: Which split, for the message: " of train".

    Raises:
        BadData: naming the wrong shape.
    """
    if pixels.ndim == _AXES and _is_channels_last(*pixels.shape):
        raise BadData(
            f"images{of} have shape {list(pixels.shape)}, which looks like channels last; give "
            "[N, C, H, W]: images.permute(0, 3, 1, 2) of a tensor, transpose of an array"
        )
    if pixels.ndim != _AXES or not _allowed(*pixels.shape):
        raise BadData(
            f"images{of} have shape {list(pixels.shape)}; give [N, C, H, W] with 1 to "
            f"{MAX_CHANNELS} channels and sides from 1 to {MAX_SIDE}"
        )
    if labels.dtype.is_floating_point or labels.shape != pixels.shape[:1]:
        raise BadData(
            f"labels{of} are {labels.dtype} {list(labels.shape)}; give one integer for each of "
            f"the {len(pixels)} images"
        )


def _is_channels_last(_: int, second: int, __: int, last: int) -> bool:
    return last in _USUAL_CHANNELS and second not in _USUAL_CHANNELS


def _allowed(count: int, channels: int, height: int, width: int) -> bool:
    sides_fit = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
    return count > 0 and 1 <= channels <= MAX_CHANNELS and sides_fit
