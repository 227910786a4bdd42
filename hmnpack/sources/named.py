"""Named datasets of torchvision that are stored as arrays.

Shape legend: N images, C channels, H height, W width.
"""

import contextlib
import errno
import http.client
import importlib.util
import pickle
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from hmnpack.errors import BadData, BadSettings, MissingExtra, first_line
from hmnpack.runtime.kept import Store
from hmnpack.runtime.progress import Listener
from hmnpack.sources.assemble import array_source
from hmnpack.sources.types import Source, SourceOptions

_BY_FLAG = ({"train": True}, {"train": False})
_BY_NAME = ({"split": "train"}, {"split": "test"})
_IDX_FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)


T = TypeVar("T")
_FAILURES = (
    *(RuntimeError, OSError, ValueError, AssertionError, EOFError),
    *(zlib.error, tarfile.TarError, pickle.UnpicklingError, http.client.HTTPException),
)
"""Exceptions that torchvision raises for missing or damaged files and failed downloads."""


@dataclass(frozen=True)
class NamedSet:
    """A dataset of torchvision.

    Attributes:
        factory: Name of its class in `torchvision.datasets`.
        splits: Keyword arguments of that class for the training and the test split.
        files: Its files relative to the data folder, for messages.
        package: Package that torchvision needs for it, or None; the extra that installs it has
            the dataset's name.
        idx_folder: Folder of its compressed idx files, or None for other formats.
    """

    factory: str
    splits: tuple[Mapping[str, object], Mapping[str, object]]
    files: str
    package: str | None = None
    idx_folder: str | None = None

    def __call__(self, spec: str, options: SourceOptions, listener: Listener) -> Source:
        """Open the dataset from the data folder, downloading it there if it is missing.

        Raises:
            BadData: if it can be neither found nor downloaded.
            MissingExtra: if a package is not installed.
        """
        if self.package and importlib.util.find_spec(self.package) is None:
            raise MissingExtra.of(f"the dataset {spec!r}", spec)
        with self._readable(options.data_root) as root:
            find = partial(self._split, spec, root, options.data_root)
            train, test = (partial(find, dict(split)) for split in self.splits)
            found = train()
            classes = getattr(found, "classes", None) or [str(n) for n in range(10)]
            return array_source(*(spec, classes, _arrays(found)), lambda: _arrays(test()), options)

    @contextlib.contextmanager
    def _readable(self, root: Path) -> Iterator[Path]:
        """Yield a root in which torchvision finds the idx files, unpacked if necessary."""
        raw = root / (self.idx_folder or "")
        packed = [raw / f"{name}.gz" for name in _IDX_FILES] if self.idx_folder else []
        unpacked = all((raw / name).exists() for name in _IDX_FILES)
        if unpacked or not packed or not all(path.exists() for path in packed):
            yield root
            return
        # The data folder may be shared and read-only, so unpack elsewhere.
        with tempfile.TemporaryDirectory() as folder:
            _unpack(packed, Path(folder, self.idx_folder or ""))
            yield Path(folder)

    def _split(self, spec: str, root: Path, given: Path, split: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return torchvision's dataset from the data folder, or from its unpacked files."""
        import torchvision  # noqa: PLC0415 - slow to import

        factory = getattr(torchvision.datasets, self.factory)
        make = partial(factory, str(root), **split)
        if root == given:
            return obtain(lambda download: make(download=download), spec, root, self.files)
        try:
            return make(download=False)
        except _FAILURES as error:
            raise BadData(
                f"the files in {given / (self.idx_folder or '')} are not those of {spec} "
                f"({first_line(error)}): download them again"
            ) from error


def obtain(make: Callable[[bool], T], spec: str, root: Path, files: str) -> T:
    """Return the dataset from the data folder (`make(False)`), else download it (`make(True)`).

    Args:
        make: Calls torchvision; its argument allows downloading.
        spec: The dataset's name, for the message.
        root: The data folder.
        files: The dataset's files relative to it, for the message.

    Raises:
        BadData: if the dataset can be neither found nor downloaded.
    """
    try:
        return make(False)
    except _FAILURES:
        pass  # missing or incomplete: torchvision does not distinguish the two
    try:
        Store(root).check_writable(
            "the data folder", "name another with --data-dir or HMNPACK_DATA"
        )
    except BadSettings as error:
        raise BadData(f"{spec} is not in {root}, and {error}; or put {files} there") from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # some versions print to stdout
            return make(True)
    except _FAILURES as error:
        raise BadData(
            f"{spec} is not in {root} and could not be downloaded ({first_line(error)}): put "
            f"{files} there"
        ) from error


def _unpack(packed: list[Path], folder: Path) -> None:
    from torchvision.datasets.utils import extract_archive  # noqa: PLC0415 - slow to import

    folder.mkdir(parents=True)
    for path in packed:
        try:
            extract_archive(str(path), str(folder))
        except (OSError, EOFError, zlib.error) as error:
            of_disk = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES)
            mend = f"{folder} must hold its files" if of_disk else "download it again"
            raise BadData(f"cannot unpack {path} ({first_line(error)}): {mend}") from error


def _arrays(dataset: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Return images uint8 [N, C, H, W] and labels int64 [N] of a torchvision dataset of arrays."""
    images = torch.as_tensor(np.asarray(dataset.data))
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    return images, torch.as_tensor(np.asarray(labels)).long()


CIFAR10 = NamedSet("CIFAR10", _BY_FLAG, "cifar-10-python.tar.gz, or cifar-10-batches-py/ from it,")
CIFAR100 = NamedSet("CIFAR100", _BY_FLAG, "cifar-100-python.tar.gz, or cifar-100-python/ from it,")
MNIST = NamedSet(
    "MNIST", _BY_FLAG, "the four *-ubyte.gz files in MNIST/raw/", idx_folder="MNIST/raw"
)
FASHION_MNIST = NamedSet(
    "FashionMNIST",
    _BY_FLAG,
    "the four *-ubyte.gz files in FashionMNIST/raw/",
    idx_folder="FashionMNIST/raw",
)
SVHN = NamedSet("SVHN", _BY_NAME, "train_32x32.mat and test_32x32.mat", package="scipy")
STL10 = NamedSet("STL10", _BY_NAME, "stl10_binary.tar.gz, or stl10_binary/ from it,")
