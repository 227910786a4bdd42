"""Class batches of methods to compare with: real images, and augmentation that both sides share.

Shape legend: n images of one class, C channels, H height, W width.
"""

import torch
from torch import Tensor

from hmnpack.augment import Draws, apply, normalise
from hmnpack.matching.data import RealData
from hmnpack.matching.families import draw_family
from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.training import Augmentation


class ClassBatches:
    """Draws real images of one class, and prepares images of both sides alike.

    Args:
        data: The real images.
        augment: Augmentations, one family per class and step; empty: none.
        count: Real images per class and step, distinct; a smaller class is used whole.
        seed: Seed of the run.
    """

    def __init__(
        self, data: RealData, augment: tuple[Augmentation, ...], count: int, seed: int
    ) -> None:
        self.data = data
        self.augment = augment
        self.count = count
        self.seed = seed
        self.rows: list[Tensor] = [data.rows_of(label) for label in range(data.classes)]

    def draws(self, label: int, step: int) -> Draws:
        """Return the augmentation of a class at a step: one draw, for all of its images."""
        generator = stream(self.seed, "rival", "augment", step, label)
        return draw_family(self.augment, 1, generator, self.data.device)

    def real(self, label: int, step: int) -> Tensor:
        """Return the indices of a class's real images at a step: int64 [n], distinct."""
        rows = self.rows[label]
        generator = stream(self.seed, "rival", "real", step, label)
        order = torch.randperm(len(rows), generator=generator)[: self.count]
        return rows[to_device(order, rows.device)]

    def real_images(self, label: int, step: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a class's real images at a step, prepared: [n, C, H, W]."""
        images = self.data.images[self.real(label, step)].to(dtype) / 255
        return self.prepared(images, self.draws(label, step))

    def prepared(self, images: Tensor, draws: Draws) -> Tensor:
        """Return images in [0, 1] normalised and augmented."""
        return apply(normalise(images, self.data.normalisation), draws)
