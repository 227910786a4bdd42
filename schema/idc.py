"""Gradient matching with IDC's own optimiser (Kim et al., ICML 2022)."""

from typing import ClassVar, Literal

from pydantic import Field

from hmnpack.schema.gradient import GradientConfig
from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import TrainConfig


class IdcConfig(RivalConfig):
    """Settings of IDC."""

    steps_on_normalised: ClassVar[bool] = False

    method: Literal["idc"] = Field(
        default="idc",
        description="Method: `idc`, gradient matching through networks trained on real images "
        "(IDC). Unlike the other methods, it applies all augmentations that are listed.",
    )
    inner_steps: int = Field(ge=1, description="Steps on the images per network (inner loop).")
    train_images: int = Field(
        ge=0, description="Real images that the network is trained on after each step."
    )
    train: TrainConfig = Field(
        description="Training settings of the networks; `epochs` are trained before the first step."
    )
    distance: Literal["mse", "l1"] = Field(
        description="Distance between the gradients of the convolution weights: sum of squared "
        "(`mse`) or of absolute (`l1`) differences."
    )
    real_batch: int = Field(ge=1, description="Real images per class and step.")

    @property
    def steps(self) -> int:
        """Steps on the images: of all networks together."""
        return self.iterations * self.inner_steps

    @property
    def gradient(self) -> GradientConfig:
        """The settings as those of the stage ``gradient``, whose objective they have."""
        return GradientConfig(
            networks=self.iterations,
            inner_steps=self.inner_steps,
            network=self.network,
            train_images=self.train_images,
            train=self.train,
            distance=self.distance,
            real_batch=self.real_batch,
            synthetic_batch=self.synthetic_batch,
            augment=self.augment,
        )
