"""The types that a bundle stores numbers in (FORMAT.md section 4), and what fits into 8 bits."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.schema.container import ContainerSpec

DTYPES: dict[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "I8": torch.int8}
"""Types of stored numbers by their names in a ledger."""

ONE = 128
"""The 8-bit integer that would stand for 1: a power of two, so that values are exact."""

_LARGEST = (ONE - 1) / ONE
_MEMORIES = {"memory.dataset": 0, "memory.class": 1, "memory.instance": 1}
"""The axis of each memory's channels; they stand in the order of the decoder's input."""


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


def _rounded(name: str, values: Tensor, dtype: str) -> Tensor:
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


def in_unit_range(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same Hierarchical Memory Network, whose memories fit into 8-bit integers.

    Each channel of a memory is divided by a scale that the weights behind it are multiplied by (the
    classes' 1x1 convolutions, or the decoder's first layer). So no image changes, and each channel
    is rounded in steps of its own size at no cost in stored numbers.

    Args:
        tensors: Values by the ledger's names, norms folded in.

    Returns:
        Of the same names; in every channel of a memory the largest magnitude is 127/128, or 0.
    """
    scaled = dict(tensors)
    scales = {name: _scales(tensors[name], axis) for name, axis in _MEMORIES.items()}
    for name, scale in scales.items():
        scaled[name] = tensors[name] / scale[:, None, None]
    if "extractor.weight" in tensors:
        weight = tensors["extractor.weight"]
        scaled["extractor.weight"] = weight * scales["memory.dataset"]
        scales["memory.dataset"] = weight.new_ones(weight.shape[1])
    first = torch.cat([scales[name] for name in _MEMORIES])
    scaled["decoder.0.weight"] = tensors["decoder.0.weight"] * first[:, None, None, None]
    return scaled


def _scales(memory: Tensor, axis: int) -> Tensor:
    """Return the scale of each channel; 1 where all of it is 0."""
    largest = memory.abs().amax([other for other in range(memory.dim()) if other != axis])
    return torch.where(largest == 0, 1, largest / _LARGEST)
