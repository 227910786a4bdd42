"""Types of an opened dataset.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hmnpack.errors import BadData, BadSettings
from hmnpack.registry import unknown_name
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import TestSplit
from hmnpack.schema.recipes import DataShape
from hmnpack.sources.lazy import Images, LazyImages, chunks, in_memory, lazily

MAX_SIDE = 4096
"""Maximum height or width of an image in pixels, as in the schema."""


SCHEME = "split/1"
"""Name and version of the fingerprint scheme; the hashed data begin with it."""

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, eq=False)
class Split:
    """A split of a dataset.

    Constructed by ``split_of``, in canonical order.

    Attributes:
        pixels: uint8 [N, C, H, W], on the CPU: a tensor, or images that are read from a file, or
            from the split that these are a subset of, when they are indexed.
        labels: int64 [N], each in [0, K).
        digests: uint8 [N, 32], the sha256 of each image's pixels.
        fingerprint: Hexadecimal hash of the images and labels, see FORMAT.md.
    """

    pixels: Images
    labels: Tensor
    digests: Tensor
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """All images as one tensor, uint8 [N, C, H, W]; those that are in a file are read."""
        return in_memory(self.pixels)

    def subset(self, chosen: Tensor) -> "Split":
        """Return a subset of the images in the same order, without reading or hashing them.

        Args:
            chosen: bool [N], mask of the images.
        """
        return self._at(chosen.nonzero().flatten(), self.labels[chosen])

    def of_classes(self, labels: Sequence[int]) -> "Split":
        """Return the images of some classes, in canonical order, without reading or hashing them.

        Args:
            labels: Labels of the classes, which are numbered anew from 0 in this order.
        """
        rows = [(self.labels == label).nonzero().flatten() for label in labels]
        numbers = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(r) for r in rows]))
        return self._at(torch.cat(rows), numbers)

    def _at(self, rows: Tensor, labels: Tensor) -> "Split":
        pixels, digests = lazily(self.pixels, rows), self.digests[rows]
        fingerprint = _fingerprint(pixels.shape, labels.numpy(), digests.numpy())
        return Split(pixels, labels, digests, fingerprint)


def split_of(images: Images, labels: Tensor, *, owned: bool = False) -> Split:
    """Return the split of these images, in canonical order: by label, then by the pixels' sha256.

    The result does not depend on the order of the input. FORMAT.md defines the order and the
    fingerprint.

    Args:
        images: uint8 [N, C, H, W]; images that are read when they are indexed stay where they are.
        labels: int64 [N].
        owned: Reorder images in memory in place, which saves a copy.
    """
    if isinstance(images, Tensor):
        images = (
            images.contiguous() if owned else images.clone(memory_format=torch.contiguous_format)
        )
    digests = _digests(images)
    # Big-endian integers sort like their bytes; the last key of lexsort is the primary one.
    words = digests.view(">u8").astype(np.uint64)
    order = np.lexsort((*words.T[::-1], labels.numpy()))
    rows = torch.from_numpy(order)
    if isinstance(images, LazyImages):
        images = lazily(images, rows)
    else:
        _rearrange(images.flatten(1).numpy(), order)
    labels, digests = labels[rows], digests[order]
    fingerprint = _fingerprint(images.shape, labels.numpy(), digests)
    return Split(images, labels, torch.from_numpy(digests), fingerprint)


def _digests(images: Images) -> npt.NDArray[np.uint8]:
    """Return the sha256 of each image: uint8 [N, 32]."""
    hashes = [
        hashlib.sha256(row).digest() for chunk in chunks(images) for row in chunk.flatten(1).numpy()
    ]
    return np.array(hashes, f"V{_DIGEST}").view(np.uint8).reshape(-1, _DIGEST)


def _rearrange(rows: npt.NDArray[np.uint8], order: npt.NDArray[np.int64]) -> None:
    """Move row `order[i]` to index i, in place, along the cycles of the permutation."""
    wanted = order.tolist()
    first = np.empty(rows.shape[1:], rows.dtype)
    for start in range(len(wanted)):
        if wanted[start] == start:  # in place already, or moved in an earlier cycle
            continue
        first[...] = rows[start]
        place = start
        while wanted[place] != start:
            source = wanted[place]
            rows[place] = rows[source]
            wanted[place], place = place, source
        rows[place] = first
        wanted[place] = place


def _fingerprint(
    shape: Sequence[int], labels: npt.NDArray[np.int64], digests: npt.NDArray[np.uint8]
) -> str:
    """Return the fingerprint of images [N, C, H, W] in canonical order."""
    sides = ",".join(str(side) for side in shape)
    label_bytes = labels.astype("<i8")[:, None].view(np.uint8)
    records = np.concatenate([label_bytes, digests], axis=1)
    return hashlib.sha256(f"{SCHEME} [{sides}]".encode() + records.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled image dataset.

    Attributes:
        name: Name that a bundle records.
        classes: Class names in the source's own order; the index is the label.
        train: The training split; every class has at least one image in it.
        test: The test split, or None if the source has none.
        skipped: Reason -> number of images and files skipped in both splits: `unreadable`, the
            suffix of files of other kinds (`heic`), and those of `hmnpack.schema.skipped`.
        size: Side in pixels to which images were resized; None: original size.
        image_column: Column of images that the caller chose, or None.
        label_column: Column of labels that the caller chose, or None.
        chosen: The classes, if they were chosen among more; None: all classes of the dataset.
        test_split: How the test split was drawn from the data; None: it was not.
        train_list: Path of the list of the training split, relative to the data; None: no list.
        test_list: The same of the test split.
        test_problem: Why the test split cannot be read; None: it was, or there is none.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split | None
    skipped: Mapping[str, int] = field(default_factory=dict)
    size: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    chosen: tuple[str, ...] | None = None
    test_split: TestSplit | None = None
    train_list: str | None = None
    test_list: str | None = None
    test_problem: BadData | None = None

    @property
    def image(self) -> ImageShape:
        """Shape of each image."""
        _, channels, height, width = self.train.pixels.shape
        return ImageShape(channels=channels, height=height, width=width)

    @property
    def shape(self) -> DataShape:
        """Shape of the dataset, on which a recipe may depend."""
        return DataShape(name=self.name, classes=len(self.classes), image=self.image)

    @with_torch_defaults
    def only(self, classes: Iterable[str]) -> "Source":
        """Return the dataset with some of its classes.

        A bundle that is made of it records them.

        Args:
            classes: Names of one or more classes; the index is the new label.

        Example:
            >>> from hmnpack import tensor_source
            >>> images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
            >>> source = tensor_source((images, [0, 1, 2]), classes=["ant", "cat", "dog"])
            >>> source.only(["dog", "ant"]).classes
            ('dog', 'ant')

        Raises:
            BadSettings: if there is no such class, or none is named.
        """
        names = tuple(dict.fromkeys((classes,) if isinstance(classes, str) else classes))
        label_of = {name: label for label, name in enumerate(self.classes)}
        for name in names:
            if name not in label_of:
                raise unknown_name("class", name, self.classes)
        if not names:
            raise BadSettings("no class was chosen; name one or more")
        if names == self.classes:
            return self
        labels = [label_of[name] for name in names]
        test = None if self.test is None else self.test.of_classes(labels)
        return replace(
            self,
            classes=names,
            chosen=names,
            train=self.train.of_classes(labels),
            test=test if test is not None and len(test) else None,
        )


@dataclass(frozen=True)
class SourceOptions:
    """Options for opening a source.

    Attributes:
        size: Side in pixels: the shorter side is resized to it and the centre square is cropped.
            None leaves images unchanged.
        data_dir: Folder of named datasets, also for downloads. None: the environment variable
            `HMNPACK_DATA`, else `hmnpack/data` in `XDG_CACHE_HOME` or `~/.cache`.
        skip_bad: Skip and count unreadable images instead of raising an error.
        cache_dir: Cache folder for decoded images. None: the environment variable
            `HMNPACK_CACHE`, else `hmnpack` in `XDG_CACHE_HOME` or `~/.cache`.
        image_column: Column of images, in Parquet files and datasets of the Hub. None: `img` or
            `image`, else the only column of images.
        label_column: Column of labels, likewise. None: `label` or `fine_label`, else the only
            column of class labels.
        classes: Names of the classes to use, see ``Source.only``. None: all.
        test_split: Fraction of each class to draw as the test split, for data without one; 0 draws
            none. A number stands for one with seed 0. None: 0.1 of a folder of class folders, 0 of
            other data.
        train_list: Text file of the images of the training split, of a folder of class folders:
            one `<class>/<image>` a line, and perhaps a label number. None: all that `test_list`
            does not list.
        test_list: The same of the test split. None: there is none.

    Raises:
        BadSettings: if the size is not in [1, 4096], or the fraction not in [0, 1).
    """

    size: int | None = None
    data_dir: AnyPath | None = None
    skip_bad: bool = False
    cache_dir: AnyPath | None = None
    image_column: str | None = None
    label_column: str | None = None
    classes: tuple[str, ...] | None = None
    test_split: TestSplit | float | None = None
    train_list: AnyPath | None = None
    test_list: AnyPath | None = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            given = (self.classes,) if isinstance(self.classes, str) else self.classes
            object.__setattr__(self, "classes", tuple(given))
        object.__setattr__(self, "size", as_integer(self.size))
        object.__setattr__(self, "test_split", _test_split(self.test_split))
        if self.size is not None and not 1 <= self.size <= MAX_SIDE:
            raise BadSettings(f"size is {self.size}; it must be from 1 to {MAX_SIDE} pixels")

    @property
    def data_root(self) -> Path:
        """Folder of named datasets."""
        return _folder(self.data_dir, "HMNPACK_DATA", "data")

    @property
    def cache_root(self) -> Path:
        """Folder of everything that can be recomputed."""
        return _folder(self.cache_dir, "HMNPACK_CACHE", ".")


def _test_split(given: TestSplit | float | None) -> TestSplit | float | None:
    if given is None or isinstance(given, TestSplit):
        return given
    if not 0 <= given < 1:
        raise BadSettings(f"test split is {given}; it must be a fraction from 0 to below 1")
    return TestSplit(part=given, seed=0) if given else 0.0


class Reader(Protocol):
    """Opens the datasets of one kind, or of one name."""

    def __call__(self, spec: str, options: SourceOptions, listener: Listener) -> Source:
        """Return the dataset for a name, path or address."""


def _folder(given: AnyPath | None, variable: str, below: str) -> Path:
    default = os.environ.get(variable) or Path(_user_cache(), "hmnpack", below)
    try:
        return path_of(default if given is None else given)
    except BadSettings as error:
        raise BadSettings(f"{error}; set {variable} to a folder") from error


def _user_cache() -> str:
    """Return the user's folder of caches, by the XDG base directory specification."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    relative = not Path(given).is_absolute() and not given.startswith("~")
    return "~/.cache" if relative else given  # the specification ignores relative ones


def is_path(spec: str) -> bool:
    """Return whether a text is an existing path."""
    return bool(spec) and source_path(spec).exists()


def source_path(spec: AnyPath) -> Path:
    """Return the path of a dataset.

    Raises:
        BadSettings: if there is no such home folder.
        BadData: if the system cannot look for the path.
    """
    path = path_of(spec)
    try:
        path.exists()
    except OSError as error:  # its name is too long, or a folder may not be searched
        raise BadData(f"cannot read {path} ({error.strerror or error})") from error
    return path
