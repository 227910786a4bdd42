"""Images that are read when they are indexed, so that a dataset may exceed the memory.

Shape legend: N images, M stored images, C channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from hmnpack.runtime.devices import free_memory, to_device
from hmnpack.sources.pixel_file import PixelFile

_PART_OF_DEVICE = 0.5
"""Most of an accelerator's free memory that a dataset takes; networks need the rest."""

_CHUNK_BYTES = 2**24
"""Pixels that are read at once when all images are visited, in bytes."""


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Some rows of stored images; indexing reads them, as it copies those of a uint8 tensor.

    Attributes:
        stored: The stored images: a file, or a uint8 tensor [M, C, H, W] on the CPU.
        rows: Index of each image among the stored ones, int64 [N].
        device: Device on which indexing returns images.
        channels: Number of channels C. Stored images of one channel are repeated to fill them.
    """

    stored: Tensor | PixelFile
    rows: Tensor
    device: torch.device
    channels: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all images: (N, C, H, W)."""
        _, _, height, width = self.stored.shape
        return len(self), self.channels, height, width

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return torch.uint8

    def numel(self) -> int:
        """Return the number of pixel values of all images, which is their size in bytes."""
        count, channels, height, width = self.shape
        return count * channels * height * width

    def __getitem__(self, which: Tensor | slice) -> Tensor:
        """Return some images, uint8 [..., C, H, W], on the device.

        Args:
            which: Indices, int64 of any shape and on any device, or a slice.
        """
        if isinstance(which, slice):
            return self._read(self.rows[which])
        found = self._read(self.rows[which.flatten().cpu()])
        return found.view(*which.shape, *found.shape[1:])

    def _read(self, rows: Tensor) -> Tensor:
        images = self.stored[rows].expand(-1, self.channels, -1, -1).contiguous()
        return to_device(images, self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield all images in order, at most ``size`` at a time."""
        for rows in self.rows.split(size):
            yield self._read(rows)

    def to(self, device: torch.device | str) -> "Tensor | LazyImages":
        """Return the images for a device; see :func:`on_device`."""
        return on_device(self, torch.device(device))


Images: TypeAlias = Tensor | LazyImages
"""uint8 images [N, C, H, W], in memory or read when they are indexed. Both have a length, a shape,
a device, indexing by int64 tensors, ``split`` and ``to``."""


def lazily(images: Images, rows: Tensor) -> LazyImages:
    """Return some of the images, none of which is read or copied.

    Args:
        images: The images.
        rows: Their indices, int64 [n], on any device.
    """
    rows = rows.cpu()
    if isinstance(images, LazyImages):
        return replace(images, rows=images.rows[rows])
    return LazyImages(images, rows, images.device, images.shape[1])


def with_channels(images: Images, channels: int) -> Images:
    """Return images of ``channels`` channels; a single channel is repeated, without a copy."""
    if isinstance(images, LazyImages):
        return replace(images, channels=channels)
    return images.expand(-1, channels, -1, -1)


def on_device(images: Images, device: torch.device) -> Images:
    """Return images for computing on a device: uploaded once if they fit, else read by batches.

    On a CPU, images that are read when they are indexed stay so.
    """
    if device.type == "cpu" or (isinstance(images, Tensor) and images.device == device):
        return images
    free = free_memory(device)
    if free is None or images.numel() <= free * _PART_OF_DEVICE:
        return images.to(device) if isinstance(images, Tensor) else _uploaded(images, device)
    every = lazily(images, torch.arange(len(images))) if isinstance(images, Tensor) else images
    return replace(every, device=device)


def _uploaded(images: LazyImages, device: torch.device) -> Tensor:
    """Return the images on a device, without all of them in the host's memory at once."""
    whole = torch.empty(images.shape, dtype=torch.uint8, device=device)
    done = 0
    for chunk in chunks(images):
        whole[done : done + len(chunk)] = to_device(chunk, device)
        done += len(chunk)
    return whole


def chunks(images: Images) -> Iterator[Tensor]:
    """Yield all images in order, a few megabytes at a time."""
    each = max(1, images.numel() // max(1, len(images)))
    yield from images.split(max(1, _CHUNK_BYTES // each))


def is_in_file(images: Images, path: Path | None = None) -> bool:
    """Return whether images are read from a file: from this one, if a path is given."""
    if isinstance(images, Tensor) or isinstance(images.stored, Tensor):
        return False
    return path in (None, images.stored.path)


def in_memory(images: Images) -> Tensor:
    """Return all images as one tensor; this reads those that are not in memory."""
    if isinstance(images, Tensor):
        return images
    return images[:]
