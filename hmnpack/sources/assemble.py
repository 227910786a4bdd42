"""The last steps of opening every kind of source: decode, validate, order canonically.

Shape legend: N images, K classes, C channels, H height, W width, S side of a square image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.errors import BadData
from hmnpack.runtime.progress import Listener
from hmnpack.schema.skipped import UNREADABLE
from hmnpack.sources.decode import Decoded, Encoded, decode, quiet_pillow, reference_of
from hmnpack.sources.types import Source, SourceOptions, split_of

_CHUNK = 4096
"""Images resized at once; bounds the memory of intermediate results."""


def decode_source(
    name: str,
    classes: Sequence[str],
    train: Encoded,
    test: Encoded | None,
    options: SourceOptions,
    listener: Listener,
) -> Source:
    """Decode and validate a dataset of encoded images.

    Args:
        name: Name that a bundle records.
        classes: Class names in the source's own order.
        train: The training split.
        test: The test split, if there is one.
        options: Options for decoding.
        listener: Called with stage `decode`, counting the images of a split.

    Raises:
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    check_labels(classes, train.labels, test.labels if test else None)
    with quiet_pillow():
        reference = reference_of(train, options)
        decoded = decode(train, reference, options, listener)
        tested = decode(test, reference, options, listener) if test else None
    return _finish(name, classes, decoded, tested)


def array_source(
    name: str,
    classes: Sequence[str],
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    options: SourceOptions,
) -> Source:
    """Resize and validate a dataset of decoded images.

    Args:
        name: Name that a bundle records.
        classes: Class names in the source's own order.
        train: Images uint8 [N, C, S, S], which may be reordered in place, and labels int64 [N].
        test: The same for the test split.
        options: The side to resize to.

    Raises:
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    check_labels(classes, train[1], test[1])
    splits = (Decoded(resized(images, options.size), labels, 0) for images, labels in (train, test))
    return _finish(name, classes, *splits)


def check_labels(classes: Sequence[str], train: Tensor, test: Tensor | None) -> None:
    """Check that every class has training images and that every label is a class.

    Raises:
        BadData: naming the first offending class or label.
    """
    count = len(classes)
    for split, labels in (("train", train), ("test", test)):
        wrong = None if labels is None else labels[(labels < 0) | (labels >= count)]
        if wrong is not None and len(wrong):
            raise BadData(
                f"label {int(wrong[0])} of {split} is not a class: "
                + (f"labels range from 0 to {count - 1}" if count else "number classes from 0")
            )
    trained = torch.bincount(train, minlength=count)
    tested = torch.zeros_like(trained) if test is None else torch.bincount(test, minlength=count)
    for name, here, there in zip(classes, trained.tolist(), tested.tolist(), strict=True):
        if not here and there:
            raise BadData(f"class {name!r} is in test but not in train: give it training images")
        if not here:
            raise BadData(f"class {name!r} has no images in train: add some, or drop the class")


def resized(images: Tensor, size: int | None) -> Tensor:
    """Resize square images by antialiased bilinear interpolation.

    Args:
        images: uint8 [N, C, S, S].
        size: New side in pixels; None returns the images unchanged.

    Returns:
        uint8 [N, C, size, size].
    """
    if size in (None, images.shape[-1]):
        return images
    parts = [
        F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
        for part in torch.split(images, _CHUNK)
    ]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])


def _finish(name: str, classes: Sequence[str], train: Decoded, test: Decoded | None) -> Source:
    parts = [train, test] if test else [train]
    if any(part.skipped for part in parts):
        check_labels(classes, train.labels, test.labels if test else None)
    channels = max(part.images.shape[1] for part in parts)
    splits = [
        split_of(part.images.expand(-1, channels, -1, -1), part.labels, owned=True)
        for part in parts
    ]
    bad = sum(part.skipped for part in parts)
    skipped = {UNREADABLE: bad} if bad else {}
    return Source(name, tuple(classes), splits[0], splits[1] if test else None, skipped)
