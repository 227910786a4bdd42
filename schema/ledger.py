"""The ledger: one row per stored tensor, and the totals."""

from math import prod
from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, model_validator

from hmnpack.schema.base import Frozen

Role = Literal[
    "dataset memory",
    "class memory",
    "instance memory",
    "extractor",
    "decoder",
    "pixels",
    "canvases",
    "shared bases",
    "coefficients",
    "bases",
    "hallucinators",
]
OF_A_CLASS: frozenset[str] = frozenset({"class memory", "extractor"})
"""Roles of the tensors with one row per class."""

OF_AN_IMAGE: frozenset[str] = frozenset(
    {"instance memory", "pixels", "canvases", "coefficients", "bases"}
)
"""Roles of the tensors with one row per image, or per group of images that share one; tensors of
all other roles are shared by every image."""

FloatDtype = Literal["F32", "F16"]
"""IEEE 754 binary32 and binary16, by their safetensors names."""

Dtype = Literal[FloatDtype, "I8"]
"""Codings that this version decodes; `I8`: signed 8-bit integers."""

BYTES_PER_FLOAT = 4
"""Bytes per float of a budget, which is counted in binary32."""

_BITS = {"F32": 32, "F16": 16, "I8": 8}
"""Coding -> bits per element; the coding is also the safetensors type."""

_PACKED_BITS = {f"I{bits}": bits for bits in range(2, 8)}
"""The same for reserved codings, whose elements are packed into bytes of type `U8`."""

Dimension = Annotated[int, Field(ge=1, le=2**31)]
Coding = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,15}$")]


class TensorRow(Frozen):
    """One stored tensor: its role and its size."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9.]{0,99}$", description="Name of the tensor in the file."
    )
    role: str = Field(
        pattern=r"^[a-z][a-z ]{0,39}$",
        description="Component of the container that the tensor belongs to.",
    )
    shape: tuple[Dimension, ...] = Field(
        min_length=1, max_length=8, description="Sizes of the tensor's axes, in elements."
    )
    dtype: Coding = Field(description="Coding of the elements.")
    bytes: int = Field(ge=1, description="Size of the tensor, in bytes.")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        needed = bytes_of(self.elements, self.dtype)
        if needed is not None and self.bytes != needed:
            raise ValueError(
                f"ledger row {self.name}: {self.bytes} bytes, but {self.elements} {self.dtype} "
                f"elements take {needed}"
            )
        return self

    @classmethod
    def of(cls, name: str, role: Role, *shape: int, dtype: Dtype) -> "TensorRow":
        """Return the row of a tensor with the given shape and type."""
        size = prod(shape) * _BITS[dtype] // 8
        return cls(name=name, role=role, shape=shape, dtype=dtype, bytes=size)

    @property
    def elements(self) -> int:
        """Number of elements of the tensor."""
        return prod(self.shape)

    @property
    def stored_as(self) -> tuple[str, tuple[int, ...]] | None:
        """Type and shape of the tensor in the file; None for an unknown coding."""
        if self.dtype in _BITS:
            return self.dtype, self.shape
        return ("U8", (self.bytes,)) if self.dtype in _PACKED_BITS else None


def bytes_of(elements: int, coding: str) -> int | None:
    """Return the size of a number of elements, in bytes; None for an unknown coding."""
    bits = (_BITS | _PACKED_BITS).get(coding)
    return None if bits is None else -(-elements * bits // 8)


class Ledger(Frozen):
    """All tensors of a container, in the order of the data flow through it."""

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
        """Stored floats, whatever their type (the paper's unit of a budget)."""
        return sum(row.elements for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, without the file's header."""
        return sum(row.bytes for row in self.rows)

    def without_shared(self) -> "Ledger":
        """Return the rows of single classes and images, without those that all images share."""
        own = OF_A_CLASS | OF_AN_IMAGE
        return Ledger(rows=tuple(row for row in self.rows if row.role in own))

    def floats_by_role(self) -> dict[str, int]:
        """Return role -> stored floats, in the order of the rows."""
        totals: dict[str, int] = {}
        for row in self.rows:
            totals[row.role] = totals.get(row.role, 0) + row.elements
        return totals
