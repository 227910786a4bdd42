"""Several bundles as one dataset, with the union of their classes.

Shape legend: N images, C channels, H height, W width.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import cast

import torch
from torch import Tensor

from hmnpack.bundle import Bundle
from hmnpack.bundle.described import pooled
from hmnpack.bundle.opened import AnyFile
from hmnpack.dataset.base import DecodedDataset, Transform
from hmnpack.dataset.condensed import CondensedDataset, load
from hmnpack.errors import BadData, BadSettings
from hmnpack.registry import unknown_name
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation

Names = Mapping[str, str]


def concat(
    files: Sequence[AnyFile | Bundle | CondensedDataset],
    *,
    rename: Names | Sequence[Names] | None = None,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    per_class: int | None = None,
    device: torch.device | str = "cpu",
) -> "ConcatenatedDataset":
    """Load several bundles as one dataset; classes of the same name are one class.

    Args:
        files: Whatever :func:`hmnpack.load` loads, or loaded datasets.
        rename: Class name in a file -> class name in the result. One mapping for all files, or a
            sequence of one for each; other classes keep their names. Classes that get the same
            name become one.
        transform: Applied to each image on access.
        target_transform: Applied to each label on access.
        per_class: Use only the first `per_class` images of each class of each file; datasets that
            are loaded already keep their own choice.
        device: Device on which images are decoded and stored.

    Example:
        >>> path = "examples/bundles/digits.hmn"
        >>> both = concat([path, path], rename=[{}, {"9": "nine"}])
        >>> len(both), both.classes[-2:], both.tasks[0], both.tasks[-1]
        (200, ['9', 'nine'], 0, 1)

    Raises:
        BadBundle: if a file violates FORMAT.md, or cannot be read or fetched.
        BadData: if the images of the files have different shapes.
        BadSettings: if no files are given, a renamed class does not exist, or a loaded dataset has
            a transform of its own.
    """
    if not isinstance(files, list | tuple) or not files:
        raise BadSettings("concat needs a list of one or more files, bundles or loaded datasets")
    parts = tuple(
        file if isinstance(file, CondensedDataset) else load(file, per_class=per_class)
        for file in files
    )
    for part in parts:
        if part.transform is not None or part.target_transform is not None:
            raise BadSettings(f"{part.root} has a transform of its own; give it to concat instead")
        _check_shape(parts[0], part)
    return ConcatenatedDataset(
        parts,
        tuple(_names(parts, rename)),
        transform=transform,
        target_transform=target_transform,
        device=device,
    )


class ConcatenatedDataset(DecodedDataset):
    """Decoded images of several bundles, file by file; returned by :func:`hmnpack.concat`.

    It offers what :class:`hmnpack.CondensedDataset` offers, except one ``manifest``.

    Args:
        parts: The datasets.
        names: For each dataset, the name of each of its classes in the result.
        transform: Applied to each image on access.
        target_transform: Applied to each label on access.
        device: Device on which images are decoded and stored.

    Attributes:
        parts: The datasets, in the given order.
        tasks: For each image, the number of the dataset that it is from, from 0.
        classes: Class names, in the order in which they first occur; the index is the label.
        class_to_idx: Label of each class name.
        transform: As given.
        target_transform: As given.
    """

    def __init__(
        self,
        parts: Sequence[CondensedDataset],
        names: Sequence[Sequence[str]],
        *,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        classes = tuple(dict.fromkeys(chain.from_iterable(names)))
        super().__init__(classes, transform, target_transform, device)
        self.parts: tuple[CondensedDataset, ...] = tuple(parts)
        self.tasks: tuple[int, ...] = tuple(
            task for task, part in enumerate(parts) for _ in range(len(part))
        )
        self._targets = tuple(
            self.class_to_idx[own[label]]
            for part, own in zip(parts, names, strict=True)
            for label in part.targets
        )

    @property
    def targets(self) -> tuple[int, ...]:
        """Label of each image; use ``torch.utils.data.Subset`` to select some of the images."""
        return self._targets

    @property
    def image(self) -> ImageShape:
        """Shape of each image."""
        return self.parts[0].image

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of the real training images of all files, per channel."""
        return pooled([part.manifest for part in self.parts])

    def decoded(self, device: torch.device) -> Tensor:
        """Return all images on a device: float32 [N, C, H, W] in [0, 1]."""
        return torch.cat([part.decoded(device) for part in self.parts])

    def pixels(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield some of the images in parts: uint8 [n, H, W, C] on the CPU, as `expand` writes.

        Args:
            rows: Ascending indices of the images, int64 [n].
        """
        start = 0
        for part in self.parts:
            end = start + len(part)
            own = rows[(rows >= start) & (rows < end)]
            if len(own):
                yield from part.pixels(own - start)
            start = end

    def facts(self) -> Iterator[str]:
        """Yield lines on where the images are from, for display."""
        for task, part in enumerate(self.parts):
            yield f"Task {task}: {len(part)} images of {part.root}"


def _check_shape(first: CondensedDataset, part: CondensedDataset) -> None:
    if part.image != first.image:
        ours, theirs = (
            f"{one.image.channels}x{one.image.height}x{one.image.width}" for one in (part, first)
        )
        raise BadData(
            f"images of {part.root} are {ours}, but those of {first.root} are {theirs}; concat "
            "files whose images have one shape"
        )


def _names(
    parts: Sequence[CondensedDataset], rename: Names | Sequence[Names] | None
) -> Iterator[tuple[str, ...]]:
    """Yield the names that the classes of each dataset have in the result."""
    shared = rename is None or isinstance(rename, Mapping)
    maps = cast("Sequence[Names]", [rename or {}] * len(parts) if shared else rename)
    if len(maps) != len(parts):
        raise BadSettings(
            f"rename has {len(maps)} mappings for {len(parts)} files; give one for each, or one "
            "mapping for all"
        )
    every = {name for part in parts for name in part.classes}
    for part, names in zip(parts, maps, strict=True):
        known = every if shared else set(part.classes)
        for name in names:
            if name not in known:
                raise unknown_name("class", name, known)
        yield tuple(names.get(name, name) for name in part.classes)
