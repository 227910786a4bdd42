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
"""Of a class that is cut: with 10 to 85 images it keeps more of what its images differ in."""


class MatchConfig(Frozen):
    """Feature matching (features of each class, through networks from untrained to trained)."""

    objective: str = Field(
        default="features",
        description="Name of the objective, which says what of the features is matched: "
        "`features` (class means) or `characteristic` (distributions, by their characteristic "
        "functions).",
    )
    steps: int = Field(ge=0, description="Optimiser steps on the container.")
    real_batch: int = Field(default=64, ge=1, description="Real images per class and step.")
    synthetic_batch: int = Field(
        default=32, ge=1, description="Synthetic images per class and step, at most."
    )
    lr: Positive = Field(default=0.01, description="Adam learning rate, falling to 0 by a cosine.")
    part_images: int = Field(
        default=0,
        ge=0,
        description="Synthetic images of a part at most. Each class is cut into parts of like "
        "images, four or more, as far as it has images; a step matches one part of each class, by "
        "its share of the synthetic images. 0: classes are whole.",
    )
    views: int = Field(
        default=0,
        ge=0,
        description="Different views (a network, an augmentation, real images) that the steps go "
        "round, rounded up to a multiple of a class's parts; the features of a view's real "
        "images are computed once and kept. 0: every step has a view of its own.",
    )
    classification: float = Field(
        default=0.3,
        ge=0,
        description="Weight of the cross-entropy of the network that is matched through; it falls "
        "to 0 towards the untrained weights.",
    )
    classification_images: int = Field(
        default=0,
        ge=0,
        description="Synthetic images of a class up to which that weight is whole; of twice as "
        "many it is half of it, and so on. 0: any number.",
    )
    farthest: Fraction = Field(
        default=1.0,
        description="Weights to match through are drawn uniformly between a network's trained and "
        "initial ones: how far they go towards the initial ones, all the way or a part.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=MATCHING_AUGMENTATIONS,
        description="Augmentations, one draw per class and step for real and synthetic alike; "
        "all of them are applied, in this order.",
    )
    precision: Precision = Field(
        default="auto", description="Arithmetic of the networks' forward and backward pass."
    )

    def classification_of(self, instances: int) -> float:
        """Return the weight of the cross-entropy where a class has so many synthetic images."""
        whole = self.classification_images or instances
        return self.classification * min(1.0, whole / instances)

    def views_of(self, parts: int) -> int:
        """Return the views where each class has so many parts; 0: one a step.

        They are rounded up to whole turns through the parts, so that each is seen as often.
        """
        return ceil(self.views / parts) * parts

    def parts_of(self, instances: int) -> int:
        """Return the parts of a class with so many synthetic images, if it has as many real."""
        if not self.part_images:
            return 1
        return min(max(FEWEST_PARTS, ceil(instances / self.part_images)), instances)
