"""Data types of stored tensors (FORMAT.md section 4), and the scaling for 8-bit storage."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.schema.container import ContainerSpec

DTYPES: dict[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "I8": torch.int8}
"""Data types of stored tensors, by ledger name."""

ONE = 128
"""The integer that represents 1 in 8-bit storage: a power of two, so that values are exact."""

_LARGEST = (ONE - 1) / ONE
_MEMORIES = {"memory.dataset": 0, "memory.class": 1, "memory.instance": 1}
"""The channel axis of each memory, in the order of the decoder's input channels."""


def as_stored(spec: ContainerSpec, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert tensors of a container to the data types of its ledger, on the CPU.

    Args:
        spec: The container, whose ledger defines the data types.
        tensors: Values by ledger name; those stored in 8 bits are in [-1, 127/128].

    Raises:
        BadSettings: if a value is too large for its data type.
    """
    dtypes = {row.name: row.dtype for row in spec.ledger().rows}
    return {
        name: _rounded(name, tensor.detach().cpu(), dtypes[name]).contiguous()
        for name, tensor in tensors.items()
    }


def values_of(stored: Tensor) -> Tensor:
    """Return the values of a stored tensor: float32."""
    if stored.is_inference():  # it can be no parameter
        stored = stored.clone()
    return stored.float() / ONE if stored.dtype == torch.int8 else stored.float()


def coded_pixels(pixels: Tensor, dtype: str) -> Tensor:
    """Return pixels, clamped to [0, 1], as the values that a coding of pixels stores."""
    clamped = pixels.detach().clamp(0, 1)
    return (255 * clamped - ONE) / ONE if dtype == "I8" else clamped


def pixels_of(values: Tensor, dtype: str) -> Tensor:
    """Return the pixels of stored values: the inverse of :func:`coded_pixels`."""
    return (ONE * values + ONE) / 255 if dtype == "I8" else values


def _rounded(name: str, values: Tensor, dtype: str) -> Tensor:
    if dtype == "I8":
        # Rounding can exceed the range by one step, which would overflow to the opposite sign.
        values = (values * ONE).round().clamp(-ONE, ONE - 1)
    stored = values.to(DTYPES[dtype])
    if values.isfinite().all() and not stored.isfinite().all():
        raise BadSettings(
            f"{name} contains the value {values.abs().max():.3g}, but 16-bit floats hold at most "
            "65,504; store 32 bits (container.dtype=F32)"
        )
    return stored


def in_unit_range(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an equivalent Hierarchical Memory Network whose memories fit into 8-bit integers.

    Each channel of a memory is divided by a scale, and the weights that read it (the classes' 1x1
    convolutions, or the decoder's first layer) are multiplied by it. Images do not change, and each
    channel gets its own quantisation step without storing any scales.

    Args:
        tensors: Values by ledger name, with norms folded in.

    Returns:
        Values by ledger name; the largest magnitude in every memory channel is 127/128, or 0.
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


def in_signed_range(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows divided by a scale each, so that they fit into 8-bit integers, and the scales.

    Args:
        rows: [n, ...].
    """
    scales = _scales(rows, 0)
    return rows / scales.view(-1, *[1] * (rows.dim() - 1)), scales


def _scales(memory: Tensor, axis: int) -> Tensor:
    """Return the scale of each channel; 1 for channels of zeros."""
    largest = memory.abs().amax([other for other in range(memory.dim()) if other != axis])
    return torch.where(largest == 0, 1, largest / _LARGEST)
