"""The real images that condensing sees."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.augment import Draws, apply, normalise
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation


@dataclass(frozen=True)
class RealData:
    """The real images that condensing sees, on the device that it runs on.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        classes: Number of classes K.
        normalisation: Mean and standard deviation of the images.
        fingerprint: Identity of the images and labels, for caches.
        parts: int64 [N], the part of its class that each image belongs to, see
            :mod:`hmnpack.matching.parts`; None: classes are whole.
        parts_each: Number of parts of every class; no part is empty.
    """

    images: Tensor
    labels: Tensor
    classes: int
    normalisation: Normalisation
    fingerprint: str
    parts: Tensor | None = None
    parts_each: int = 1

    def rows_of(self, label: int, part: int | None = None) -> Tensor:
        """Return which images belong to a class, or to a part of it: int64 [n]."""
        own = self.labels == label
        if part is not None and self.parts is not None:
            own &= self.parts == part
        return own.nonzero().flatten()

    @property
    def shape(self) -> ImageShape:
        """Shape of an image."""
        channels, height, width = self.images.shape[1:]
        return ImageShape(channels=channels, height=height, width=width)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def normalised(self, rows: Tensor) -> Tensor:
        """Return some of the images normalised, not augmented: float32 [n, C, H, W].

        Args:
            rows: int64 [n], which of them.
        """
        return normalise(self.images[rows].float() / 255, self.normalisation)

    def prepared(self, images: Tensor, classes: Tensor, draws: Draws) -> Tensor:
        """Normalise and augment images, with one draw per class for all of its (siamese).

        Args:
            images: In [0, 1], [k * n, C, H, W], class by class; real or synthetic.
            classes: int64 [k], the numbers of their classes.
            draws: One for each of all K classes.
        """
        rows = classes.repeat_interleave(len(images) // len(classes))
        return apply(normalise(images, self.normalisation), draws.index(rows))
