"""Settings of every stage: each field with its unit, its range and what it does."""

from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.container import Activation
from hmnpack.schema.ledger import Dtype
from hmnpack.schema.match import MatchConfig
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

PruneStrategy = Literal["none", "double-end", "easy", "hard", "random"]


class ContainerConfig(Frozen):
    """What the paper leaves open about the container, and the one size that it varies."""

    activation: Activation = Field(
        default="relu", description="Function between the decoder's layers."
    )
    norm: Literal["batch", "none"] = Field(
        default="batch",
        description="Normalisation between the decoder's layers: statistics of each batch until "
        "the warm-up ends, then frozen, and folded into the convolutions on writing.",
    )
    instance_channels: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Channels of each image's memory: the more, the fewer images fit the budget "
        "(paper figure 5); null: the planner's.",
    )
    min_images: int = Field(
        default=0,
        ge=0,
        description="Fewest images of each class to aim at: the planner takes channels from each "
        "image's memory, down to one, until as many fit; 0, or `instance_channels` given: none.",
    )
    decoder_channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        default=None,
        description="Channels between the decoder's layers, first to last: two numbers, for images "
        "under 16 pixels one. The wider, the fewer images fit the budget; null: the planner's.",
    )
    decoder_width: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Channels after the decoder's first layer to aim at, the next in proportion: "
        "the planner widens it as far as it takes a tenth of the budget at most; 0, or "
        "`decoder_channels` given: not at all.",
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of stored numbers, rounded when the file is written: `F16` halves it, "
        "`I8` (memories in 8 bits, all else in 16) makes it a quarter to two fifths, by how much "
        "is decoder; the budget of floats is the same.",
    )


class WarmupConfig(Frozen):
    """Fitting the container to real images, before any matching."""

    images: Literal["none", "random"] = Field(
        default="random",
        description="Which real images: none (no warm-up), or random ones of each class.",
    )
    steps: int = Field(default=1000, ge=0, description="Adam steps of reconstruction.")
    lr: Positive = Field(default=0.02, description="Learning rate, falling to 0 by a cosine.")
    batch: int = Field(default=512, ge=1, description="Images per step.")


class PoolConfig(Frozen):
    """Networks trained once on the real images, cached, and matched through."""

    size: int = Field(default=2, ge=1, le=1000, description="Number of networks.")
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of every network."
    )
    train: TrainConfig = Field(description="How each is trained.")
    min_steps: int = Field(
        default=1000, ge=0, description="Fewest training steps; small sets get more epochs."
    )


class GradientConfig(Frozen):
    """Gradient matching (paper equation 2 and appendix C.2; what they leave out as in IDC)."""

    networks: int = Field(
        default=0,
        ge=0,
        description="Networks matched through, one after another, untrained at first (the paper's "
        "training epochs of condensing); 0 leaves gradient matching out.",
    )
    inner_steps: int = Field(
        default=200, ge=1, description="Steps with each network (inner iterations)."
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of the networks."
    )
    train_images: int = Field(
        default=2000,
        ge=0,
        description="Real images that the network is trained on after each step; 0: none.",
    )
    train: TrainConfig = Field(
        default=TrainConfig(epochs=0, schedule="constant", augment=COLOUR_CROP),
        description="How; `epochs` passes come before the first step.",
    )
    distance: Literal["mse", "l1"] = Field(
        default="mse",
        description="Of the gradients of the convolution weights: sum of squares, or of absolute "
        "values.",
    )
    real_batch: int = Field(default=64, ge=1, description="Real images per class and step.")
    synthetic_batch: int = Field(
        default=128, ge=1, description="Synthetic images per class and step, at most."
    )
    lr: Positive = Field(
        default=0.01,
        description="Adam learning rate at the start; it falls to a tenth after 60 % and after "
        "80 % of the networks.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=MATCHING_AUGMENTATIONS,
        description="Augmentations, one draw per class and step for real and synthetic alike; "
        "all of them are applied, in this order.",
    )
    precision: Precision = Field(
        default="float32",
        description="Arithmetic of the passes that gradients come from (float32 on CUDA: TF32 in "
        "convolutions, as torch has it); distances are float32.",
    )

    @property
    def steps(self) -> int:
        """Steps of all networks together."""
        return self.networks * self.inner_steps


class PruneConfig(Frozen):
    """Condensing over budget and pruning back (paper section 3.2 and Algorithm 1)."""

    strategy: PruneStrategy = Field(
        default="none",
        description="Which images of each class go. Of those that more than fit the budget: "
        "`double-end` drops the hardest and the easiest, `easy` the easiest, `hard` the hardest, "
        "`random` random ones; `none` condenses no more than fit (and keeps the first, where a "
        "file is pruned).",
    )
    beta: Fraction | None = Field(
        default=None,
        description="Part of the images dropped by `double-end` that are the hardest; null: the "
        "best of `betas` on held-out real images.",
    )
    betas: tuple[Fraction, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        max_length=101,
        description="Values of beta to choose from; of equally good ones the first is taken.",
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Network that tells how hard images are, and judges."
    )
    seeds: int = Field(
        default=3, ge=1, le=1000, description="Trainings that each image's margin is the mean of."
    )
    margin_epochs: int = Field(
        default=200,
        ge=1,
        description="Epochs of a network that is trained for margins, which are added up over "
        "them; else it is trained by `train`, without CutMix.",
    )
    networks: int = Field(
        default=1, ge=1, le=1000, description="Networks trained to judge each beta."
    )
    train: TrainConfig = Field(
        default=TrainConfig(epochs=300, weight_decay=0.0002),
        description="How a network that judges is trained.",
    )
    min_steps: int = Field(
        default=1000,
        ge=0,
        description="Fewest optimiser steps of a network that judges; few images get more epochs.",
    )

    @property
    def margins(self) -> TrainConfig:
        """How a network is trained for margins: a cut-mixed image would show another's, too."""
        return self.train.model_copy(update={"epochs": self.margin_epochs, "cutmix": 0.0})


class CompressConfig(Frozen):
    """Everything that decides the bytes of a bundle, but the data and the budget."""

    recipe: str = Field(description="Name of the recipe that these settings started from.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random stream.")
    holdout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1, description="Part of each class of train that is held out, for choices."
    )
    container: ContainerConfig = Field(
        default=ContainerConfig(), description="The container: what the planner leaves open."
    )
    pool: PoolConfig = Field(description="Networks to match through.")
    warmup: WarmupConfig = Field(default=WarmupConfig(), description="The container's start.")
    match: MatchConfig = Field(description="Feature matching: objective and schedule.")
    gradient: GradientConfig = Field(
        default=GradientConfig(), description="Gradient matching, after feature matching."
    )
    prune: PruneConfig = Field(
        default=PruneConfig(), description="Condensing over budget and pruning back."
    )
