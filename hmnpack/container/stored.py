"""The types that a bundle stores numbers in (FORMAT.md section 4)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.ledger import Dtype

DTYPES: dict[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "I8": torch.int8}
"""Types of stored numbers by their names in a ledger."""

UNIT = 128
"""What an 8-bit integer is divided by to give its value: a power of two, so exact."""

_LARGEST = 127 / UNIT
_MEMORIES = {"memory.dataset": 0, "memory.class": 1, "memory.instance": 1}
"""The axis of each memory's channels."""


def as_stored(spec: ContainerSpec, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a container as its bundle stores them: of its types, on the CPU.

    Args:
        spec: The container, whose ledger says the types.
        tensors: Values by the ledger's names; where they are stored in 8 bits, from -1 to 127/128:
            what lies beyond is cut off.
    """
    dtypes = {row.name: row.dtype for row in spec.ledger().rows}
    return {
        name: _rounded(tensor.detach().cpu(), dtypes[name]).contiguous()
        for name, tensor in tensors.items()
    }


def values_of(stored: Tensor) -> Tensor:
    """Return the values of a stored tensor: float32."""
    return stored.float() / UNIT if stored.dtype == torch.int8 else stored.float()


def in_unit_range(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same Hierarchical Memory Network, whose memories fit into 8-bit integers.

    What is behind a memory is linear (a class's 1x1 convolution, or the decoder's first layer), so
    each channel of a memory can be divided by a factor that its weights are multiplied by: no image
    changes, and each channel has steps of its own size at no cost in stored numbers.

    Args:
        tensors: Values by the ledger's names, norms folded in.

    Returns:
        Of the same names; in every channel of a memory the largest magnitude is 127/128, or 0.
    """
    scaled, factors = dict(tensors), {}
    for name, axis in _MEMORIES.items():
        others = [other for other in range(tensors[name].dim()) if other != axis]
        largest = tensors[name].abs().amax(others)
        factors[name] = torch.where(largest == 0, 1, largest / _LARGEST)
        scaled[name] = tensors[name] / factors[name][:, None, None]
    if "extractor.weight" in tensors:
        weight = tensors["extractor.weight"]
        scaled["extractor.weight"] = weight * factors["memory.dataset"]
        factors["memory.dataset"] = weight.new_ones(weight.shape[1])
    first = torch.cat([factors[name] for name in _MEMORIES])
    scaled["decoder.0.weight"] = tensors["decoder.0.weight"] * first[:, None, None, None]
    return scaled


def _rounded(values: Tensor, dtype: Dtype) -> Tensor:
    if dtype == "I8":
        values = (values * UNIT).round().clamp(-UNIT, UNIT - 1)
    return values.to(DTYPES[dtype])
