"""Hallucinators (Liu et al., NeurIPS 2022: HaBa): affine maps of bases to images."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Frozen
from hmnpack.schema.ledger import Dtype, Ledger, TensorRow
from hmnpack.schema.stored import Stored

MAX_HALLUCINATORS = 1000

SMALLEST_SIDE = 3
"""Smallest side of an image, in pixels: that of a kernel."""


class HallucinatorSpec(Stored):
    """Bases of each class, and hallucinators that all classes share; every pair is an image."""

    kind: Literal["hallucinator/1"] = Field(
        default="hallucinator/1", description="Kind of container."
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats. With `I8` bases are 8-bit pixels, hallucinators "
        "are `F16`. Decoding is done in binary32.",
    )
    hallucinators: int = Field(
        ge=1, le=MAX_HALLUCINATORS, description="Number of hallucinators G: images per basis."
    )
    basis_channels: int = Field(
        ge=1, le=16, description="Channels of a basis: 1, or those of an image."
    )

    @model_validator(mode="after")
    def _maps_bases_to_images(self) -> Self:
        image = self.image
        if min(image.height, image.width) < SMALLEST_SIDE:
            raise PydanticCustomError(
                "small_image",
                "images of {height}x{width} are smaller than a kernel of 3x3",
                {"height": image.height, "width": image.width},
            )
        if self.basis_channels not in (1, image.channels):
            raise PydanticCustomError(
                "basis_channels",
                "bases of {given} channels for images of {channels}",
                {"given": self.basis_channels, "channels": image.channels},
            )
        return self

    @property
    def images_per_row(self) -> int:
        """Images of a basis: one per hallucinator."""
        return self.hallucinators

    @property
    def style_elements(self) -> int:
        """Elements of a scale, of a shift, and of the map between encoder and decoder."""
        return self.image.channels * (self.image.height - 2) * (self.image.width - 2)

    @property
    def summary(self) -> str:
        """One line about the sizes."""
        return (
            f"{self.hallucinators} hallucinators for all classes, one image of each basis; bases "
            f"of {self.basis_channels} channels"
        )

    def ledger(self) -> Ledger:
        """Return the rows of the bases and of the hallucinators."""
        g, image = self.hallucinators, self.image
        low = "F16" if self.dtype == "I8" else self.dtype
        channels, style = image.channels, (image.height - 2, image.width - 2)
        basis = (self.images // g, self.basis_channels, image.height, image.width)
        parts = (
            ("encoder.weight", (channels, self.basis_channels, 3, 3)),
            ("encoder.bias", (channels,)),
            ("scale", (channels, *style)),
            ("shift", (channels, *style)),
            ("decoder.weight", (channels, channels, 3, 3)),
            ("decoder.bias", (channels,)),
        )
        shared = (
            TensorRow.of(f"hallucinator.{name}", "hallucinators", g, *shape, dtype=low)
            for name, shape in parts
        )
        return Ledger(
            rows=(TensorRow.of("memory.basis", "bases", *basis, dtype=self.dtype), *shared)
        )


class HallucinatorConfig(Frozen):
    """Settings of hallucinators (HaBa), a method to compare with."""

    kind: Literal["hallucinator"] = Field(
        default="hallucinator", description="Kind of container: HaBa's hallucinators."
    )
    hallucinators: int | None = Field(
        default=None,
        ge=1,
        le=MAX_HALLUCINATORS,
        description="Number of shared hallucinators, which turn every basis into that many "
        "images. null: 5, as HaBa has it, or as many fewer as fit.",
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats, which are rounded when the file is written: `I8` "
        "stores the bases as 8-bit pixels, hallucinators in 16 bits. The budget in floats does "
        "not change.",
    )
