"""Bundles as `torch.utils.data.Dataset`, as tensors and arrays, or as batches on a device."""

from hmnpack.dataset.condensed import CondensedDataset, load
from hmnpack.dataset.joined import ConcatenatedDataset, concat
from hmnpack.dataset.loader import DeviceLoader

__all__ = ["ConcatenatedDataset", "CondensedDataset", "DeviceLoader", "concat", "load"]
