"""Linear basis (Deng and Russakovsky, NeurIPS 2022: LinBa): images as combinations of bases."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.ledger import Dtype, Ledger, TensorRow
from hmnpack.schema.stored import Stored

MAX_BASES = 4096


class LinearBasisSpec(Stored):
    """Bases at half the side that all classes share, and a row of coefficients per image."""

    kind: Literal["linear-basis/1"] = Field(
        default="linear-basis/1", description="Kind of container."
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats. With `I8` only the bases are 8-bit integers, "
        "coefficients are `F16`. Decoding is done in binary32.",
    )
    bases: int = Field(ge=1, le=MAX_BASES, description="Number of bases B.")

    @property
    def half(self) -> tuple[int, int]:
        """Height and width of a basis: half of those of an image, rounded up."""
        return -(-self.image.height // 2), -(-self.image.width // 2)

    @property
    def half_elements(self) -> int:
        """Elements of a basis."""
        height, width = self.half
        return self.image.channels * height * width

    @property
    def summary(self) -> str:
        """One line about the sizes."""
        height, width = self.half
        return f"{self.bases} shared bases of {height} x {width}, coefficients per image"

    def ledger(self) -> Ledger:
        """Return the rows of the bases and of the coefficients."""
        low = "F16" if self.dtype == "I8" else self.dtype
        basis = (self.bases, self.image.channels, *self.half)
        return Ledger(
            rows=(
                TensorRow.of("memory.basis", "shared bases", *basis, dtype=self.dtype),
                TensorRow.of("coefficients", "coefficients", self.images, self.bases, dtype=low),
            )
        )


class LinearBasisConfig(Frozen):
    """Settings of a linear basis (LinBa), a method to compare with."""

    kind: Literal["linear-basis"] = Field(
        default="linear-basis", description="Kind of container: LinBa's linear basis."
    )
    bases: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BASES,
        description="Number of shared bases. More bases leave room for fewer images. null: the "
        "largest power of two, up to 256, whose bases take at most two fifths of the budget and "
        "leave room for two images per class and ipc.",
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats, which are rounded when the file is written: `I8` "
        "stores the bases in 8 bits, the coefficients in 16. The budget in floats does not "
        "change.",
    )
