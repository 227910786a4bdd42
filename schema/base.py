"""The base of every model that is written to, or read from, a file, and the texts in them."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

MAX_INTEGER = 2**63 - 1
"""Largest whole number in a document: readers count in 64 bits."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=1000)]


class Frozen(BaseModel):
    """An immutable model that refuses unknown fields and non-finite numbers."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )
