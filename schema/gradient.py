"""Settings of gradient matching, the paper's objective."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.training import (
    COLOUR_CROP,
    MATCHING_AUGMENTATIONS,
    Augmentation,
    NetworkConfig,
    Positive,
    Precision,
    TrainConfig,
)


class GradientConfig(Frozen):
    """Gradient matching (paper equation 2 and appendix C.2; details not given there as in IDC)."""

    networks: int = Field(
        default=0,
        ge=0,
        description="Number of matching networks, used one after another, each untrained at first "
        "(the paper's training epochs of condensation). 0: no gradient matching.",
    )
    inner_steps: int = Field(
        default=200, ge=1, description="Matching steps per network (inner iterations)."
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of the networks."
    )
    train_images: int = Field(
        default=2000,
        ge=0,
        description="Real images that the network is trained on after each step; 0: do not train.",
    )
    train: TrainConfig = Field(
        default=TrainConfig(epochs=0, schedule="constant", augment=COLOUR_CROP),
        description="Training settings of the networks; `epochs` are trained before the first "
        "matching step.",
    )
    distance: Literal["mse", "l1"] = Field(
        default="mse",
        description="Distance between the gradients of the convolution weights: sum of squared "
        "(`mse`) or of absolute (`l1`) differences.",
    )
    real_batch: int = Field(default=64, ge=1, description="Real images per class and step.")
    synthetic_batch: int = Field(
        default=128, ge=1, description="Maximum synthetic images per class and step."
    )
    lr: Positive = Field(
        default=0.01,
        description="Initial Adam learning rate, divided by 10 after 60 % and after 80 % of the "
        "networks.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=MATCHING_AUGMENTATIONS,
        description="Augmentations, all applied in this order. Each class and step has one set of "
        "random parameters, shared by real and synthetic images.",
    )
    precision: Precision = Field(
        default="float32",
        description="Floating-point type of the forward and backward passes (float32 on CUDA uses "
        "TF32 in convolutions, torch's default). Distances are computed in float32.",
    )

    @property
    def steps(self) -> int:
        """Matching steps of all networks together."""
        return self.networks * self.inner_steps
