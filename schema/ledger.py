"""The ledger: one row per stored tensor, and what the rows add up to."""

from math import prod
from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, model_validator

from hmnpack.schema.base import Frozen

Role = Literal[
    "dataset memory", "class memory", "instance memory", "extractor", "decoder", "pixels"
]
FloatDtype = Literal["F32", "F16"]
"""IEEE 754 binary32 and binary16, by their safetensors names."""

Dtype = Literal[FloatDtype, "I8"]
"""Element types by their safetensors names; `I8`: integers of 8 bits with a sign."""

BYTES_PER_ELEMENT: dict[Dtype, int] = {"F32": 4, "F16": 2, "I8": 1}

Dimension = Annotated[int, Field(ge=1, le=2**31)]


class TensorRow(Frozen):
    """One stored tensor: what it is for, and what it costs."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9.]{0,99}$", description="Name of the tensor in the file."
    )
    role: Role = Field(description="Part of the container that the tensor belongs to.")
    shape: tuple[Dimension, ...] = Field(
        min_length=1, max_length=8, description="Sizes of the tensor's axes, in elements."
    )
    dtype: Dtype = Field(description="Element type, by its safetensors name.")
    elements: int = Field(ge=1, description="Product of the shape, in elements.")
    bytes: int = Field(ge=1, description="Elements times the element's size, in bytes.")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.elements != prod(self.shape):
            raise ValueError(
                f"ledger row {self.name}: {self.elements} elements, but its shape holds "
                f"{prod(self.shape)}"
            )
        if self.bytes != self.elements * BYTES_PER_ELEMENT[self.dtype]:
            raise ValueError(
                f"ledger row {self.name}: {self.bytes} bytes, but {self.elements} {self.dtype} "
                f"elements take {self.elements * BYTES_PER_ELEMENT[self.dtype]}"
            )
        return self

    @classmethod
    def of(cls, name: str, role: Role, *shape: int, dtype: Dtype) -> "TensorRow":
        """Return the row of a tensor of that shape and type."""
        elements = prod(shape)
        return cls(
            name=name,
            role=role,
            shape=shape,
            dtype=dtype,
            elements=elements,
            bytes=elements * BYTES_PER_ELEMENT[dtype],
        )


class Ledger(Frozen):
    """Every tensor of a container, in the order of the data's way through it."""

    rows: Annotated[tuple[TensorRow, ...], FailFast()] = Field(
        min_length=1, max_length=256, description="One row per stored tensor."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ValueError("ledger: two rows have the same name")
        return self

    @property
    def floats(self) -> int:
        """Stored numbers, whatever their type (the paper's unit of a budget)."""
        return sum(row.elements for row in self.rows)

    @property
    def bytes(self) -> int:
        """Stored bytes of all tensors, without the file's header."""
        return sum(row.bytes for row in self.rows)

    def floats_by_role(self) -> dict[Role, int]:
        """Return the stored numbers of each role, in the rows' order."""
        totals: dict[Role, int] = {}
        for row in self.rows:
            totals[row.role] = totals.get(row.role, 0) + row.elements
        return totals
