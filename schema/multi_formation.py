"""Multi-formation (Kim et al., ICML 2022: IDC): canvases whose tiles are enlarged to images."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Frozen
from hmnpack.schema.ledger import Dtype, Ledger, TensorRow
from hmnpack.schema.stored import MAX_ENLARGEMENT, Stored


class MultiFormationSpec(Stored):
    """Canvases of the size of an image, each cut into f x f tiles."""

    kind: Literal["multi-formation/1"] = Field(
        default="multi-formation/1", description="Kind of container."
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats. With `I8` canvases are 8-bit pixels. Decoding is "
        "done in binary32.",
    )
    factor: int = Field(
        ge=1,
        le=MAX_ENLARGEMENT,
        description="Tiles per side f of a canvas, which decodes to f * f images.",
    )

    @model_validator(mode="after")
    def _every_tile_has_a_pixel(self) -> Self:
        for side in (self.image.height, self.image.width):
            if (self.factor - 1) * -(-side // self.factor) >= side:
                raise PydanticCustomError(
                    "empty_tile",
                    "factor {factor} leaves tiles without a pixel of a side of {side}",
                    {"factor": self.factor, "side": side},
                )
        return self

    @property
    def images_per_row(self) -> int:
        """Images of a canvas: f * f."""
        return self.factor**2

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile, rounded up: canvases are padded at the bottom and right."""
        return -(-self.image.height // self.factor), -(-self.image.width // self.factor)

    @property
    def summary(self) -> str:
        """One line about the sizes."""
        return f"{self.factor} x {self.factor} images per canvas"

    def ledger(self) -> Ledger:
        """Return the single row of the canvases."""
        image, canvases = self.image, self.images // self.images_per_row
        shape = (canvases, image.channels, image.height, image.width)
        row = TensorRow.of("memory.canvas", "canvases", *shape, dtype=self.dtype)
        return Ledger(rows=(row,))


class MultiFormationConfig(Frozen):
    """Settings of multi-formation (IDC), a method to compare with."""

    kind: Literal["multi-formation"] = Field(
        default="multi-formation", description="Kind of container: IDC's multi-formation."
    )
    factor: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ENLARGEMENT,
        description="Tiles per side of a canvas, which decodes to their square in images. null: 2, "
        "or 3 for images of 96 pixels or more, as IDC has it.",
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats, which are rounded when the file is written: `I8` "
        "stores 8-bit pixels. The budget in floats does not change.",
    )
