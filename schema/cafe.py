"""Alignment of the features of every layer: CAFE (Wang et al., CVPR 2022)."""

from fractions import Fraction
from typing import Literal

from pydantic import Field

from hmnpack.schema.on_synthetic import OnSyntheticConfig

HALVED = (Fraction(6, 10), Fraction(8, 10), Fraction(9, 10))
"""Fractions of the networks after which the rate halves (1,200, 1,600 and 1,800 of 2,000)."""


class CafeConfig(OnSyntheticConfig):
    """Settings of CAFE; with augmentations, those of CAFE+DSA."""

    method: Literal["cafe"] = Field(
        default="cafe",
        description="Method: `cafe`, matching of the class means of every layer, and a term that "
        "keeps classes apart, through networks trained on the synthetic images (CAFE, and "
        "CAFE+DSA if `augment` is not empty). Needs a ConvNet.",
    )

    def rate_factor(self, step: int) -> float:
        """Return the factor on the learning rate: halved at each of ``HALVED``."""
        network = step // self.image_steps
        return 0.5 ** sum(network >= part * self.iterations for part in HALVED)
