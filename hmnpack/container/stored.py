"""The types that a bundle stores numbers in (FORMAT.md section 4)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.ledger import Dtype

DTYPES: dict[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "I8": torch.int8}
"""Types of stored numbers by their names in a ledger."""

ONE = 128
"""The 8-bit integer that would stand for 1: a power of two, so that values are exact."""


def as_stored(spec: ContainerSpec, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a container as its bundle stores them: of its types, on the CPU.

    Args:
        spec: The container, whose ledger says the types.
        tensors: Values by the ledger's names; what is stored in 8 bits lies from -1 to 127/128.

    Raises:
        BadSettings: if a number is too large for its type.
    """
    dtypes = {row.name: row.dtype for row in spec.ledger().rows}
    return {
        name: _rounded(name, tensor.detach().cpu(), dtypes[name]).contiguous()
        for name, tensor in tensors.items()
    }


def values_of(stored: Tensor) -> Tensor:
    """Return the values of a stored tensor: float32."""
    return stored.float() / ONE if stored.dtype == torch.int8 else stored.float()


def _rounded(name: str, values: Tensor, dtype: Dtype) -> Tensor:
    if dtype == "I8":
        # Within the range but for rounding, which an integer would turn into its opposite.
        values = (values * ONE).round().clamp(-ONE, ONE - 1)
    stored = values.to(DTYPES[dtype])
    if values.isfinite().all() and not stored.isfinite().all():
        raise BadSettings(
            f"{name} has a number of {values.abs().max():.3g}, and 16 bits hold 65,504 at most: "
            "store 32 bits (container.dtype=F32)"
        )
    return stored
