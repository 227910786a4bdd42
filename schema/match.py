"""Settings of feature matching."""

from math import ceil
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hmnpack.schema.queue import QueueConfig
from hmnpack.schema.stopping import StoppingConfig
from hmnpack.schema.tiers import TierRates
from hmnpack.schema.training import (
    MATCHING_AUGMENTATIONS,
    Augmentation,
    Decay,
    Fraction,
    Positive,
    Precision,
)


class MatchConfig(TierRates):
    """Feature matching (features of each class, through networks from untrained to trained)."""

    left_out_if_empty: ClassVar = frozenset(
        {"average", "views", "part_images", "classification_images", "snapshots", "ahead"}
    )
    left_out_if_default: ClassVar = TierRates.left_out_if_default | {
        "parts",
        "classifier",
        "farthest",
        "queue",
        "stopping",
    }

    objective: str = Field(
        default="features",
        description="Name of the objective, which says what of the features is matched: "
        "`features` (class means), `mmd` (distributions, by Gaussian kernels), `characteristic` "
        "(distributions, by their characteristic functions).",
    )
    steps: int = Field(ge=0, description="Optimiser steps on the container.")
    real_batch: int = Field(default=64, ge=1, description="Real images per class and step.")
    synthetic_batch: int = Field(
        default=32, ge=1, description="Synthetic images per class and step, at most."
    )
    lr: Positive = Field(default=0.01, description="Adam learning rate, falling by a cosine.")
    lr_end: float = Field(
        default=0.0,
        ge=0,
        description="Learning rate that the cosine falls towards; the step after the last has it.",
    )
    average: Fraction = Field(
        default=0.0, description="Last part of the steps whose weights are averaged; 0: none."
    )
    beta1: Decay = Field(default=0.9, description="Adam's decay of the mean gradient.")
    beta2: Decay = Field(default=0.99, description="Adam's decay of the squared gradient.")
    parts: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Parts of like images that each class is cut into, as far as it has images; "
        "a step matches one part of each class, by its share of the synthetic images.",
    )
    part_images: int = Field(
        default=0,
        ge=0,
        description="Synthetic images of a part at most: a class with more has more parts; 0: "
        "any number.",
    )
    views: int = Field(
        default=0,
        ge=0,
        description="Different views (a network, an augmentation, real images) that the steps go "
        "round, rounded up to a multiple of a class's parts; the features of a view's real "
        "images are computed once and kept. 0: every step has a view of its own.",
    )
    blocks: Literal["last", "all"] = Field(
        default="all", description="Features matched: after the last block, or after each."
    )
    scale: Literal["none", "spread"] = Field(
        default="spread",
        description="Divide each block's distance by the spread of the real class means, or not.",
    )
    cells: int = Field(
        default=0,
        ge=0,
        description="Side of the grid that larger maps of features are averaged over before they "
        "are matched; 0: what the objective takes (`characteristic` 4, the others maps as they "
        "are).",
    )
    frequencies: int = Field(
        default=512,
        ge=1,
        description="Random frequencies of `characteristic`, for each step and block; else unused.",
    )
    classification: float = Field(
        default=0.3, ge=0, description="Weight of a network's cross-entropy."
    )
    classification_images: int = Field(
        default=0,
        ge=0,
        description="Synthetic images of a class up to which that weight is whole; of twice as "
        "many it is half of it, and so on. 0: any number.",
    )
    classifier: Literal["trained", "between"] = Field(
        default="trained",
        description="Whose cross-entropy: the trained network's, or that of the network which is "
        "matched through, which needs no pass of its own; its weight falls to 0 towards the "
        "untrained weights.",
    )
    krr: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the error that kernel ridge regression on the synthetic images' "
        "last features makes on the real ones.",
    )
    ridge: Positive = Field(
        default=1e-6,
        description="Penalty of that regression, as a part of its kernel's mean diagonal.",
    )
    interpolate: bool = Field(
        default=True,
        description="Match through weights drawn uniformly between a network's initial and "
        "trained ones (else: the trained ones).",
    )
    farthest: Fraction = Field(
        default=1.0,
        description="How far such weights go towards the initial ones: all the way, or a part.",
    )
    snapshots: tuple[Fraction, Fraction] | None = Field(
        default=None,
        description="Match through weights that the pool's networks had after whole epochs, drawn "
        "uniformly between these two parts of their training (0: untrained, 1: trained), instead "
        "of interpolated ones; null: no.",
    )
    ahead: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="With `snapshots` and `classifier` at between: epochs that the network whose "
        "cross-entropy it is may be ahead of the one matched through; drawn uniformly from 0 to "
        "these at each step, as far as the training went.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=MATCHING_AUGMENTATIONS,
        description="Augmentations, one draw per class and step for real and synthetic alike; "
        "all of them are applied, in this order.",
    )
    precision: Precision = Field(
        default="auto", description="Arithmetic of the networks' forward and backward pass."
    )
    queue: QueueConfig = Field(
        default=QueueConfig(), description="Networks to match through instead of the pool's."
    )
    stopping: StoppingConfig = Field(
        default=StoppingConfig(), description="Ending before the last step."
    )

    @model_validator(mode="after")
    def _snapshots_make_sense(self) -> Self:
        if self.snapshots is not None and self.snapshots[0] > self.snapshots[1]:
            raise ValueError("snapshots go from an earlier part of the training to a later one")
        if self.ahead and self.snapshots is None:
            raise ValueError("ahead counts epochs of snapshots; set snapshots, or ahead to 0")
        return self

    def classification_of(self, instances: int) -> float:
        """Return the weight of the cross-entropy where a class has so many synthetic images."""
        whole = self.classification_images or instances
        return self.classification * min(1.0, whole / instances)

    @property
    def through_trained(self) -> bool:
        """Whether synthetic images also go through a second network, for its cross-entropy."""
        return self.classification > 0 and (self.classifier == "trained" or self.ahead > 0)

    def epochs_of(self, epochs: int) -> range:
        """Return the epochs whose snapshots are matched through, of a training of so many."""
        first, last = self.snapshots or (1.0, 1.0)
        return range(round(first * epochs), round(last * epochs) + 1)

    def views_of(self, parts: int) -> int:
        """Return the views where each class has so many parts; 0: one a step.

        They are rounded up to whole turns through the parts, so that each is seen as often.
        """
        return ceil(self.views / parts) * parts

    def parts_of(self, instances: int) -> int:
        """Return the parts of a class with so many synthetic images, if it has as many real."""
        needed = ceil(instances / self.part_images) if self.part_images else 1
        return min(max(self.parts, needed), instances)
