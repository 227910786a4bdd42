"""Settings of feature matching."""

from math import ceil

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.training import (
    MATCHING_AUGMENTATIONS,
    Augmentation,
    Fraction,
    Positive,
    Precision,
)

FEWEST_PARTS = 4
"""Minimum parts of a class that is partitioned. With 10 to 85 images per class, four parts
preserve more of the variation within the class."""


class MatchConfig(Frozen):
    """Feature matching per class, with networks between their initial and trained weights."""

    objective: str = Field(
        default="features",
        description="Objective, by the statistic of the features that it matches: `features` "
        "(class means) or `characteristic` (distributions, through their characteristic "
        "functions).",
    )
    steps: int = Field(ge=0, description="Optimiser steps on the container.")
    real_batch: int = Field(default=64, ge=1, description="Real images per class and step.")
    synthetic_batch: int = Field(
        default=32, ge=1, description="Maximum synthetic images per class and step."
    )
    lr: Positive = Field(
        default=0.01, description="Initial Adam learning rate; a cosine schedule decreases it to 0."
    )
    part_images: int = Field(
        default=0,
        ge=0,
        description="Maximum synthetic images per part. Each class is partitioned into at least "
        "four parts of similar images (fewer if it has fewer images). A step matches one part "
        "of each class; all parts count equally. 0: do not partition.",
    )
    views: int = Field(
        default=0,
        ge=0,
        description="Number of views (network weights, augmentation and real images) that the "
        "steps cycle through, rounded up to a multiple of the parts per class. The features of a "
        "view's real images are computed once and cached. 0: a new view at every step.",
    )
    classification: float = Field(
        default=0.3,
        ge=0,
        description="Weight of the matching network's cross-entropy loss; it decreases to 0 "
        "towards the network's initial weights.",
    )
    classification_images: int = Field(
        default=0,
        ge=0,
        description="Synthetic images per class up to which `classification` applies in full; "
        "above, the weight is inversely proportional to the number of images. 0: no limit.",
    )
    farthest: Fraction = Field(
        default=1.0,
        description="Matching weights are drawn uniformly between a network's trained weights (0) "
        "and its initial weights (1), up to this fraction of the way.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=MATCHING_AUGMENTATIONS,
        description="Augmentations, all applied in this order. Each class and step has one set of "
        "random parameters, shared by real and synthetic images.",
    )
    precision: Precision = Field(
        default="auto",
        description="Floating-point type of the networks' forward and backward passes.",
    )

    def classification_of(self, instances: int) -> float:
        """Return the cross-entropy weight for a number of synthetic images per class."""
        whole = self.classification_images or instances
        return self.classification * min(1.0, whole / instances)

    def views_of(self, parts: int) -> int:
        """Return the number of views for a number of parts per class; 0: a new view per step.

        The number is rounded up to a multiple of the parts, so that every part is matched
        equally often.
        """
        return ceil(self.views / parts) * parts

    def parts_of(self, instances: int) -> int:
        """Return the parts per class for a number of synthetic images per class.

        A class with fewer real images than that may have fewer parts.
        """
        if not self.part_images:
            return 1
        return min(max(FEWEST_PARTS, ceil(instances / self.part_images)), instances)
