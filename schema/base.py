"""Base class and common field types of every model that is read from or written to a file."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

MAX_INTEGER = 2**63 - 1
"""Largest integer in a document; readers use signed 64-bit integers."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=1000)]


class Frozen(BaseModel):
    """Immutable model that rejects unknown fields and non-finite floats."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )
