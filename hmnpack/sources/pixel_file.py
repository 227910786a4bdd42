"""A file of pixels, of which images are read when they are needed.

The file is read, not mapped into memory: the pages of a mapped file count as memory of the process
once they are touched, and one image may bring in megabytes around it.

Shape legend: M stored images, C channels, H height, W width.
"""

import os
import weakref
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class PixelFile:
    """Images in a file without a header: uint8 [M, C, H, W], the last axis fastest.

    The file stays open, so it may be deleted meanwhile, where the system allows it.

    Args:
        path: The file.
        shape: (M, C, H, W).

    Raises:
        OSError: if the file cannot be read.
        ValueError: if its size is not that of the images.
    """

    def __init__(self, path: Path, shape: Sequence[int]) -> None:
        count, channels, height, width = shape
        self.shape: tuple[int, int, int, int] = (count, channels, height, width)
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        size = os.fstat(self._file).st_size
        if size != prod(self.shape):
            raise ValueError(f"{path} has {size} bytes, not {prod(self.shape)}")

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return some images: uint8 [n, C, H, W].

        Args:
            rows: Their indices, int64 [n].

        Raises:
            OSError: if the file was cut short meanwhile.
        """
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        each = prod(self.shape[1:])
        for place, first, count in _runs(rows.tolist()):
            self._read(images[place : place + count].data.cast("B"), first * each)
        return torch.from_numpy(images)

    def _read(self, into: memoryview, place: int) -> None:
        while into:
            done = os.preadv(self._file, [into], place)
            if not done:
                raise OSError(f"{self.path} was cut short while it was read")
            into, place = into[done:], place + done


def _runs(rows: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (position, first row, length) of each run of consecutive rows."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end] != rows[end - 1] + 1:
            yield start, rows[start], end - start
            start = end
