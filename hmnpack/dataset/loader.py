"""Batches of images built on their device, without workers or copies.

Shape legend: N images, C channels, H height, W width.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack import augment as augmentation
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import Augmentation
from hmnpack.schema.manifest import Normalisation


@dataclass(frozen=True)
class Batches:
    """Settings of a loader's batches; see :meth:`hmnpack.CondensedDataset.loader`.

    Attributes:
        size: Images per batch.
        augment: Augmentations, drawn per image.
        shuffle: Reshuffle the images in every epoch.
        normalise: Return normalised images rather than images around [0, 1].
    """

    size: int
    augment: tuple[Augmentation, ...]
    shuffle: bool
    normalise: bool


class DeviceLoader:
    """An iterable of batches ``(images, labels)`` on the images' device.

    Args:
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N], on the same device.
        normalisation: Applied before the augmentations.
        batches: Settings of the batches.
        generator: CPU generator for order and augmentations; None for torch's default.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        normalisation: Normalisation,
        batches: Batches,
        generator: torch.Generator | None,
    ) -> None:
        self._images = augmentation.normalise(images, normalisation)
        self._labels = labels
        self._normalisation = normalisation
        self._batches = batches
        self._generator = torch.default_generator if generator is None else generator

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batches.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for part in torch.split(self._order(), self._batches.size):
            yield self._batch(part)

    @with_torch_defaults
    def _order(self) -> Tensor:
        """Return the image indices in the order of this epoch, on the images' device."""
        order = torch.arange(len(self._labels))
        if self._batches.shuffle:
            order = torch.randperm(len(self._labels), generator=self._generator)
        return order.to(self._labels.device)

    @with_torch_defaults
    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._augmented(self._images[rows]), self._labels[rows]

    def _augmented(self, images: Tensor) -> Tensor:
        if self._batches.augment:
            draws = augmentation.draw(
                self._batches.augment,
                len(images),
                self._generator,
                one_spatial=True,
                device=images.device,
            )
            images = augmentation.apply(images, draws)
        if self._batches.normalise:
            return images
        mean = images.new_tensor(self._normalisation.mean).view(1, -1, 1, 1)
        return images * images.new_tensor(self._normalisation.std).view(1, -1, 1, 1) + mean
