"""What a data set is, once it is open.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from torch import Tensor

from hmnpack.errors import BadData, BadSettings
from hmnpack.schema.container import ImageShape

MAX_SIDE = 4096
"""Largest height or width of an image, in pixels, as in the schema."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set, in memory on the CPU.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N], each in [0, K).
        fingerprint: sha256 over shapes, pixels and labels, in hexadecimal.
    """

    images: Tensor
    labels: Tensor
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled image data set.

    Attributes:
        name: Name that a bundle records.
        classes: Class names in the source's own order; the index is the label.
        train: The training split; every class has an image in it.
        test: The test split, or None where the source has none.
        skipped: Unreadable images that were left out of either split.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split | None
    skipped: int = 0

    @property
    def image(self) -> ImageShape:
        """Shape of every image."""
        _, channels, height, width = self.train.images.shape
        return ImageShape(channels=channels, height=height, width=width)


@dataclass(frozen=True)
class SourceOptions:
    """How a source is opened.

    Attributes:
        size: Side in pixels that images are brought to: the shorter side is resized to it and
            the centre is cut out. None leaves them as they are.
        data_dir: Where data sets are kept and downloaded to. None: the environment variable
            `HMNPACK_DATA`, else `~/.cache/hmnpack/data`.
        skip_bad: Leave out images that cannot be read, and count them, instead of stopping.
        cache_dir: Where decoded images are kept. None: the environment variable
            `HMNPACK_CACHE`, else `~/.cache/hmnpack`.

    Raises:
        BadSettings: if the size is not in [1, 4096].
    """

    size: int | None = None
    data_dir: Path | None = None
    skip_bad: bool = False
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= MAX_SIDE:
            raise BadSettings(f"size {self.size} is not a side from 1 to {MAX_SIDE} pixels")

    @property
    def data_root(self) -> Path:
        """Folder of the data sets that go by name."""
        return _folder(self.data_dir, "HMNPACK_DATA", "data")

    @property
    def cache_root(self) -> Path:
        """Folder of everything that can be made again."""
        return _folder(self.cache_dir, "HMNPACK_CACHE", ".")


def _folder(given: Path | None, variable: str, below: str) -> Path:
    named = given or os.environ.get(variable)
    path = Path(named or Path("~/.cache/hmnpack", below))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise BadSettings(f"{path}: there is no such home; set {variable} to a folder") from error


def path_of(spec: str | PathLike[str]) -> Path:
    """Return the path that was typed, its ``~`` replaced by a home.

    Raises:
        BadData: if nobody has that home.
    """
    try:
        return Path(spec).expanduser()
    except RuntimeError as error:
        raise BadData(f"{str(spec)!r} does not exist: there is no such home") from error
