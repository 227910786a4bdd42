"""Alignment of the features of every layer: CAFE (Wang et al., CVPR 2022)."""

from fractions import Fraction
from typing import Literal

from pydantic import Field

from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import Positive

HALVED = (Fraction(6, 10), Fraction(8, 10), Fraction(9, 10))
"""Fractions of the networks after which the rate halves (1,200, 1,600 and 1,800 of 2,000)."""


class CafeConfig(RivalConfig):
    """Settings of CAFE; with augmentations, those of CAFE+DSA."""

    method: Literal["cafe"] = Field(
        default="cafe",
        description="Method: `cafe`, matching of the class means of every layer, and a term that "
        "keeps classes apart, through networks trained on the synthetic images (CAFE, and "
        "CAFE+DSA if `augment` is not empty). Needs a ConvNet.",
    )
    image_steps: int = Field(
        ge=1,
        description="Steps on the images per network. The authors stop by a criterion that their "
        "code meets after about 11.",
    )
    epochs: int = Field(
        ge=0,
        description="Epochs of the network's training on all synthetic images between two of "
        "these steps. The authors stop by a criterion that their code meets after about 10.",
    )
    batch: int = Field(ge=1, description="Synthetic images per step of that training.")
    network_lr: Positive = Field(description="Its learning rate (plain SGD).")
    real_batch: int = Field(ge=1, description="Real images per class and step.")

    @property
    def steps(self) -> int:
        """Steps on the images: of all networks together."""
        return self.iterations * self.image_steps

    def rate_factor(self, step: int) -> float:
        """Return the factor on the learning rate: halved at each of ``HALVED``."""
        network = step // self.image_steps
        return 0.5 ** sum(network >= part * self.iterations for part in HALVED)
