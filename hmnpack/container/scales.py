"""Scales of memories, folded into the weights behind them, which are linear in a memory."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.container.stored import ONE

_LARGEST = (ONE - 1) / ONE
_MEMORIES = {"memory.dataset": 0, "memory.class": 1, "memory.instance": 1}
"""The axis of each memory's channels; they stand in the order of the decoder's input."""


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
