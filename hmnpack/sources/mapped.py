"""A file of pixels that is mapped into memory.

Shape legend: M stored images, C channels, H height, W width.
"""

import mmap
import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

HELD_BYTES = 2**27
"""Pixels read from a file until its pages are given back, in bytes. A process seems to take the
memory of all pages that it has read; the system keeps them in its own cache anyway."""


_BYTES = torch.uint8
_NONE = torch.empty(0, dtype=_BYTES)


class MappedFile:
    """Images in a file without a header: uint8 [M, C, H, W], the last axis fastest.

    The file may be deleted while it is mapped, where the system allows it.

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
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != prod(self.shape):
                raise ValueError(f"{path} has {size} bytes, not {prod(self.shape)}")
            self._mapping = _mapped(file, size)
        images = _NONE if self._mapping is None else torch.frombuffer(self._mapping, dtype=_BYTES)
        self._images = images.view(self.shape)
        self._read = 0

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return some images, copied: uint8 [n, C, H, W].

        Args:
            rows: Their indices, int64 [n].
        """
        found = self._images[rows]
        self._read += found.numel()
        if self._read > HELD_BYTES:
            self._give_back()
        return found

    def _give_back(self) -> None:
        self._read = 0
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)


def _mapped(file: BinaryIO, size: int) -> mmap.mmap | None:
    """Map a file, privately: torch asks for writable memory. An empty file has no mapping."""
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) if size else None
