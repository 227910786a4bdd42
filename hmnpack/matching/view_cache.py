"""The cache of views' real features: in memory up to a bound, then in a temporary file.

A view of large images has many megabytes of features, and a step needs those of one view. Reading
them takes a few milliseconds, computing them seconds.
"""

import contextlib
import weakref
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import torch
from torch import Tensor

from hmnpack.matching.reference import Reference


class ViewCache(MutableMapping[int, list[Reference]]):
    """References by the number of their view.

    Args:
        held: Bytes that stay in memory; None: all.
        folder: Folder of the temporary file; None, or one that is missing: the system's.
    """

    def __init__(self, held: int | None = None, folder: Path | None = None) -> None:
        self._held, self._folder = held, folder
        self._views: dict[int, list[Reference | _Filed]] = {}
        self._file: IO[bytes] | None = None

    def __getitem__(self, number: int) -> list[Reference]:
        return [one.read() if isinstance(one, _Filed) else one for one in self._views[number]]

    def __setitem__(self, number: int, references: list[Reference]) -> None:
        size = sum(reference.bytes for reference in references)
        stored: list[Reference | _Filed] = list(references)
        if self._held is not None:
            if size > self._held:
                with contextlib.suppress(OSError):  # they stay in memory if the disk is full
                    stored = [self._filed(reference) for reference in references]
            else:
                self._held -= size
        self._views[number] = stored

    def __delitem__(self, number: int) -> None:
        del self._views[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def _filed(self, reference: Reference) -> "_Filed":
        if self._file is None:
            folder = self._folder if self._folder and self._folder.is_dir() else None
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as this
            weakref.finalize(self, self._file.close)
        place = self._file.seek(0, 2)
        real = reference.real
        self._file.write(real.contiguous().flatten().view(torch.uint8).numpy().data)
        self._file.flush()
        return _Filed(self._file, place, real.shape, replace(reference, real=real.new_empty(0)))


@dataclass(frozen=True)
class _Filed:
    """A reference whose real features are in a file.

    Attributes:
        file: The file.
        place: Where the features start in it, in bytes.
        shape: Shape of the features.
        rest: The reference without them.
    """

    file: IO[bytes]
    place: int
    shape: torch.Size
    rest: Reference

    def read(self) -> Reference:
        """Return the reference."""
        dtype = self.rest.real.dtype
        data = bytearray(self.shape.numel() * dtype.itemsize)
        self.file.seek(self.place)
        if self.file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise OSError("the temporary file of views was cut short")
        real: Tensor = torch.frombuffer(data, dtype=dtype).view(self.shape)
        return replace(self.rest, real=real)
