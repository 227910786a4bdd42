"""Gradient matching by row cosine: DC (Zhao et al., ICLR 2021) and DSA (Zhao and Bilen, 2021)."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.on_synthetic import OnSyntheticConfig


class DcConfig(OnSyntheticConfig):
    """Settings of DC; with augmentations, those of DSA."""

    method: Literal["dc"] = Field(
        default="dc",
        description="Method: `dc`, gradient matching by cosine through networks trained on the "
        "synthetic images (DC, and DSA if `augment` is not empty).",
    )
