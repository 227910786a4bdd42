"""The last steps of opening every kind of source: decode, validate, order canonically.

Shape legend: N images, K classes, C channels, H height, W width, S side of a square image.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.errors import BadData
from hmnpack.runtime.progress import Listener
from hmnpack.schema.skipped import UNREADABLE
from hmnpack.sources.decode import Decoded, Encoded, decode, quiet_pillow, reference_of
from hmnpack.sources.lazy import with_channels
from hmnpack.sources.types import Source, SourceOptions, split_of

T = TypeVar("T")

_CHUNK = 4096
"""Images resized at once; bounds the memory of intermediate results."""


def attempt(find: Callable[[], T]) -> tuple[T | None, BadData | None]:
    """Return something of a test split, or why it cannot be read.

    Readers read test splits through this function: a fault stops only what needs the split.
    """
    try:
        return find(), None
    except BadData as error:
        return None, type(error)(str(error))  # without the frames of a traceback
    except OSError as error:
        return None, BadData(f"cannot read {error.filename} ({error.strerror or error})")


def decode_source(  # noqa: PLR0913
    name: str,
    classes: Sequence[str],
    train: Encoded,
    test: Callable[[], Encoded] | None,
    options: SourceOptions,
    listener: Listener,
    *,
    folder: Path | None = None,
) -> Source:
    """Decode and validate a dataset of encoded images.

    Args:
        name: Name that a bundle records.
        classes: Class names in the source's own order.
        train: The training split.
        test: Returns the test split, if there is one.
        options: Options for decoding.
        listener: Called with stage `decode`, counting the images of a split.
        folder: The folder to put the pixels in, see `hmnpack.sources.cache`; None: keep them in
            memory.

    Raises:
        BadData: if the training split is invalid (see `hmnpack.sources.open_source`).
        NoRoomError: if the folder cannot hold the pixels.
    """
    check_labels(classes, train.labels, needed=options.classes)
    with quiet_pillow():
        reference = reference_of(train, options)

        def read(part: Encoded, split: str) -> Decoded:
            check_labels(classes, part.labels, split, options.classes)
            path = None if folder is None else folder / pixels_name(split)
            found = decode(part, reference, options, listener, path)
            if not len(found.labels):
                raise BadData(f"no image of {split} can be read: all {found.skipped:,} are damaged")
            if found.skipped:
                check_labels(classes, found.labels, split, options.classes)
            return found

        decoded = read(train, "train")
        tested, problem = attempt(lambda: read(test(), "test")) if test else (None, None)
    return _finish(name, classes, decoded, tested, problem)


def pixels_name(split: str) -> str:
    """Return the name of the file of a split's pixels."""
    return f"{split}.pixels"


def array_source(
    name: str,
    classes: Sequence[str],
    train: tuple[Tensor, Tensor],
    test: Callable[[], tuple[Tensor, Tensor]],
    options: SourceOptions,
) -> Source:
    """Resize and validate a dataset of decoded images.

    Args:
        name: Name that a bundle records.
        classes: Class names in the source's own order.
        train: Images uint8 [N, C, S, S], which may be reordered in place, and labels int64 [N].
        test: Returns the same for the test split.
        options: The side to resize to.

    Raises:
        BadData: if the training split is invalid (see `hmnpack.sources.open_source`).
    """

    def read(images: Tensor, labels: Tensor, split: str) -> Decoded:
        check_labels(classes, labels, split, options.classes)
        return Decoded(resized(images, options.size), labels, 0)

    decoded = read(*train, "train")
    tested, problem = attempt(lambda: read(*test(), "test"))
    return _finish(name, classes, decoded, tested, problem)


def check_labels(
    classes: Sequence[str],
    labels: Tensor,
    split: str = "train",
    needed: Collection[str] | None = None,
) -> None:
    """Check that every label is a class and, in the training split, that no needed one is empty.

    Args:
        classes: Class names; the index is the label.
        labels: int64 [N].
        split: Name of the split.
        needed: Classes that must have images in the training split; None: all.

    Raises:
        BadData: naming the first offending label or class.
    """
    count = len(classes)
    wrong = labels[(labels < 0) | (labels >= count)]
    if len(wrong):
        raise BadData(
            f"label {int(wrong[0])} of {split} is not a class: "
            + (f"labels range from 0 to {count - 1}" if count else "number classes from 0")
        )
    numbers = torch.bincount(labels, minlength=count).tolist()
    for name, number in zip(classes, numbers, strict=True):
        if not number and split == "train" and (needed is None or name in needed):
            raise BadData(
                f"class {name!r} has no images in train: add some, or choose the other classes "
                "(--classes; in Python Source.only)"
            )


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


def _finish(
    name: str,
    classes: Sequence[str],
    train: Decoded,
    test: Decoded | None,
    problem: BadData | None,
) -> Source:
    parts = [train, test] if test else [train]
    channels = max(part.images.shape[1] for part in parts)
    splits = [
        split_of(with_channels(part.images, channels), part.labels, owned=True) for part in parts
    ]
    bad = sum(part.skipped for part in parts)
    return Source(
        name,
        tuple(classes),
        splits[0],
        splits[1] if test else None,
        {UNREADABLE: bad} if bad else {},
        test_problem=problem,
    )
