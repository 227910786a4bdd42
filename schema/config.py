"""Settings of every stage. Each field states its effect, unit and range."""

from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.gradient import GradientConfig
from hmnpack.schema.kinds import AnyContainerConfig, ContainerConfig
from hmnpack.schema.match import MatchConfig
from hmnpack.schema.methods import AnyRivalConfig
from hmnpack.schema.names import PruneStrategy
from hmnpack.schema.training import (
    COLOUR_CROP,
    MATCHING_AUGMENTATIONS,
    TRAINING_AUGMENTATIONS,
    Augmentation,
    Fraction,
    NetworkConfig,
    Positive,
    Precision,
    TrainConfig,
)

__all__ = [
    "BY_MARGIN",
    "COLOUR_CROP",
    "MATCHING_AUGMENTATIONS",
    "TRAINING_AUGMENTATIONS",
    "Augmentation",
    "CompressConfig",
    "ContainerConfig",
    "Fraction",
    "GradientConfig",
    "MatchConfig",
    "NetworkConfig",
    "PoolConfig",
    "Precision",
    "PruneConfig",
    "PruneStrategy",
    "TrainConfig",
    "WarmupConfig",
]

BY_MARGIN: frozenset[PruneStrategy] = frozenset({"double-end", "easy", "hard"})
"""Strategies that need margins, and therefore train networks."""


class WarmupConfig(Frozen):
    """Warm-up: fitting the container to real images before matching."""

    images: Literal["none", "random"] = Field(
        default="random",
        description="Real images to fit: `none` (no warm-up) or `random` images of each class.",
    )
    steps: int = Field(
        default=1000,
        ge=0,
        description="Adam steps on the reconstruction loss; 0: no warm-up. Containers other than "
        "`hmn` are fitted in closed form instead.",
    )
    lr: Positive = Field(
        default=0.02, description="Initial learning rate; a cosine schedule decreases it to 0."
    )
    batch: int = Field(default=512, ge=1, description="Images per step.")


class PoolConfig(Frozen):
    """Matching networks: trained once on the real images, then cached."""

    size: int = Field(default=2, ge=1, le=1000, description="Number of networks.")
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of every network."
    )
    train: TrainConfig = Field(description="Training settings of each network.")
    min_steps: int = Field(
        default=1000,
        ge=0,
        description="Minimum training steps; epochs are added for small datasets.",
    )


class PruneConfig(Frozen):
    """Condensing over budget, then pruning to the budget (paper section 3.2 and Algorithm 1)."""

    strategy: PruneStrategy = Field(
        default="none",
        description="Images to drop from each class so that the rest fit the budget: `double-end` "
        "drops the hardest and the easiest, `easy` the easiest, `hard` the hardest, `random` "
        "random images. `none` does not condense over budget (when pruning a file, it keeps the "
        "first images of each class).",
    )
    beta: Fraction | None = Field(
        default=None,
        description="Hardest images as a fraction of those dropped by `double-end`. null: the best "
        "of `betas`, measured on held-out real images.",
    )
    betas: tuple[Fraction, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        max_length=101,
        description="Candidate values of beta; the first of equally good ones is chosen.",
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(),
        description="Architecture of the networks that measure margins and evaluate betas.",
    )
    seeds: int = Field(
        default=3, ge=1, le=1000, description="Number of trainings that margins are averaged over."
    )
    margin_epochs: int = Field(
        default=200,
        ge=1,
        description="Epochs of each training that measures margins, which are summed over the "
        "epochs. The other settings are those of `train`, without CutMix.",
    )
    networks: int = Field(
        default=1, ge=1, le=1000, description="Networks trained to evaluate each beta."
    )
    train: TrainConfig = Field(
        default=TrainConfig(epochs=300, weight_decay=0.0002),
        description="Training settings of the networks that evaluate betas.",
    )
    min_steps: int = Field(
        default=1000,
        ge=0,
        description="Minimum optimiser steps when evaluating a beta; epochs are added for few "
        "images.",
    )

    @property
    def margins(self) -> TrainConfig:
        """Training settings for margins. Without CutMix, which mixes an image with another one."""
        return self.train.model_copy(update={"epochs": self.margin_epochs, "cutmix": 0.0})


class CompressConfig(Frozen):
    """All settings that determine the bytes of a bundle, apart from the data and the budget."""

    recipe: str = Field(description="Name of the recipe that these settings started from.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random stream.")
    holdout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1,
        description="Fraction of each training class held out for validation.",
    )
    container: AnyContainerConfig = Field(
        default=ContainerConfig(), description="Container: architecture and storage type."
    )
    pool: PoolConfig = Field(description="Matching networks.")
    warmup: WarmupConfig = Field(
        default=WarmupConfig(), description="Warm-up of the container on real images."
    )
    match: MatchConfig = Field(description="Feature matching: objective and schedule.")
    gradient: GradientConfig = Field(
        default=GradientConfig(), description="Gradient matching, after feature matching."
    )
    rival: AnyRivalConfig | None = Field(
        default=None,
        description="A method to compare with, in place of the matching above; only the recipes "
        "of such methods have it.",
    )
    prune: PruneConfig = Field(
        default=PruneConfig(), description="Condensing over budget and pruning to the budget."
    )
