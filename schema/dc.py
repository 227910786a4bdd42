"""Gradient matching by row cosine: DC (Zhao et al., ICLR 2021) and DSA (Zhao and Bilen, 2021)."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import Positive


class DcConfig(RivalConfig):
    """Settings of DC; with augmentations, those of DSA."""

    method: Literal["dc"] = Field(
        default="dc",
        description="Method: `dc`, gradient matching by cosine through networks trained on the "
        "synthetic images (DC, and DSA if `augment` is not empty).",
    )
    image_steps: int = Field(
        ge=1, description="Steps on the images per network (the authors' `outer_loop`)."
    )
    epochs: int = Field(
        ge=0,
        description="Epochs of the network's training on all synthetic images between two of "
        "these steps (`inner_loop`).",
    )
    batch: int = Field(ge=1, description="Synthetic images per step of that training.")
    network_lr: Positive = Field(description="Its learning rate (plain SGD).")
    real_batch: int = Field(ge=1, description="Real images per class and step.")

    @property
    def steps(self) -> int:
        """Steps on the images: of all networks together."""
        return self.iterations * self.image_steps
