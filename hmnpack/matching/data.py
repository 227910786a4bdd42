"""The real images to condense."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.augment import Draws, apply, normalise
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import Images


@dataclass(frozen=True)
class RealData:
    """The real images to condense, on the device of the run.

    Attributes:
        images: uint8 [N, C, H, W]; perhaps read when they are indexed.
        labels: int64 [N].
        classes: Number of classes K.
        normalisation: Mean and standard deviation of the images.
        fingerprint: Identity of the images and labels, for caches.
        parts: Index of each image's part within its class, int64 [N], see
            :mod:`hmnpack.matching.parts`; None: classes are not partitioned.
        parts_each: Number of parts per class; no part is empty.
    """

    images: Images
    labels: Tensor
    classes: int
    normalisation: Normalisation
    fingerprint: str
    parts: Tensor | None = None
    parts_each: int = 1

    def rows_of(self, label: int, part: int | None = None) -> Tensor:
        """Return the indices of the images of a class, or of a part of it: int64 [n]."""
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
        """Device of the images."""
        return self.images.device

    def normalised(self, rows: Tensor) -> Tensor:
        """Return some of the images, normalised but not augmented: float32 [n, C, H, W].

        Args:
            rows: Indices of the images, int64 [n].
        """
        return normalise(self.images[rows].float() / 255, self.normalisation)

    def prepared(self, images: Tensor, classes: Tensor, draws: Draws) -> Tensor:
        """Normalise and augment images; all images of a class share one draw (siamese).

        Args:
            images: Real or synthetic images in [0, 1], [k * n, C, H, W], class by class.
            classes: Indices of their classes, int64 [k].
            draws: One draw for each of all K classes.
        """
        rows = classes.repeat_interleave(len(images) // len(classes))
        return apply(normalise(images, self.normalisation), draws.index(rows))
