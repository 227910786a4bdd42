"""Where decoded images go: a file of the cache, or memory.

Shape legend: N images, n images of a part, C channels, H height, W width.
"""

import math
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from hmnpack.errors import BadData
from hmnpack.runtime.machine import physical_memory
from hmnpack.sources.lazy import Images, LazyImages
from hmnpack.sources.pixel_file import PixelFile

Pixels = npt.NDArray[np.uint8]

_COLOURS = 3

_COPIED = 2**24
"""Bytes read at once when a file of grey images becomes one of colour images."""


class NoRoomError(Exception):
    """A file cannot hold the images, so they must be collected in memory."""


class Sink(Protocol):
    """Collects images of one size: of one channel until the first colour image, then of three."""

    def add(self, pixels: Pixels) -> None:
        """Append images, uint8 [n, 1 or 3, H, W]."""

    def images(self) -> Images:
        """Return all images, uint8 [N, C, H, W]."""

    def close(self) -> None:
        """Close the file, if there is one; its images can still be read."""


Shape = tuple[int, int, int, int]
"""Largest number of images, channels of the first ones, height and width in pixels."""


def sink_of(path: Path | None, shape: Shape) -> Sink:
    """Return what collects images: in a file, or in memory if ``path`` is None."""
    return MemorySink(shape) if path is None else FileSink(path, shape)


class MemorySink:
    """Collects images in memory.

    Raises:
        BadData: if the images cannot fit in memory.
    """

    def __init__(self, shape: Shape) -> None:
        _expect_to_fit(shape)
        self._pixels: Pixels = np.empty(shape, np.uint8)
        self._count = 0

    def add(self, pixels: Pixels) -> None:
        """Append images; see :class:`Sink`."""
        if pixels.shape[1] > self._pixels.shape[1]:
            self._pixels = np.repeat(self._pixels, _COLOURS, axis=1)
        self._pixels[self._count : self._count + len(pixels)] = pixels
        self._count += len(pixels)

    def images(self) -> Images:
        """Return all images; see :class:`Sink`."""
        return torch.from_numpy(self._pixels[: self._count])

    def close(self) -> None:
        """Do nothing."""


class FileSink:
    """Collects images in a file, so that they need no memory.

    It is written front to back: on a full disk that is an error, not the end of the process.

    Args:
        path: The file.
        shape: Number, channels and sides of the images.

    Raises:
        NoRoomError: if the file cannot be written, here or later.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        _, self._channels, *sides = shape
        self._path, self._size, self._count = path, tuple(sides), 0
        try:
            if shutil.disk_usage(path.parent).free < math.prod(shape):
                raise NoRoomError
            self._file = path.open("w+b")
        except OSError as error:
            raise NoRoomError from error

    def add(self, pixels: Pixels) -> None:
        """Append images; see :class:`Sink`."""
        try:
            if pixels.shape[1] > self._channels:
                self._widen()
            shape = (len(pixels), self._channels, *self._size)
            self._file.write(np.ascontiguousarray(np.broadcast_to(pixels, shape)).data)
        except OSError as error:
            raise NoRoomError from error
        self._count += len(pixels)

    def images(self) -> LazyImages:
        """Return all images; see :class:`Sink`."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            stored = PixelFile(self._path, (self._count, self._channels, *self._size))
        except OSError as error:
            raise NoRoomError from error
        return LazyImages(stored, torch.arange(self._count), torch.device("cpu"), self._channels)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()

    def _widen(self) -> None:
        """Replace the grey images by colour images."""
        self._channels = _COLOURS
        height, width = self._size
        each = height * width
        sibling = self._path.with_name(f"{self._path.name}.colour")
        with self._file as grey:
            self._file = sibling.open("w+b")
            grey.seek(0)
            while data := grey.read(each * max(1, _COPIED // each)):
                images = np.frombuffer(data, np.uint8).reshape(-1, 1, height, width)
                self._file.write(np.repeat(images, _COLOURS, axis=1).data)
        sibling.replace(self._path)


def _expect_to_fit(shape: Shape) -> None:
    """Raise an error for images that cannot fit in memory, before hours of decoding them."""
    needed, memory = math.prod(shape), physical_memory()
    total, _, height, width = shape
    if needed > memory:
        raise BadData(
            f"{total:,} images of {width}x{height} pixels need {needed / 2**30:,.0f} GiB or more, "
            f"but this machine has {memory / 2**30:,.0f} and the cache has no room for them: name "
            "another cache folder with --cache-dir, or choose a smaller size, such as --size 224"
        )
