"""Reading (bounded, verified) and writing (canonical, atomic) of `.hmn` files; see FORMAT.md."""

from hmnpack.bundle.bundle import Bundle, data_sha256, with_tensors
from hmnpack.bundle.read import inspect, read

__all__ = ["Bundle", "data_sha256", "inspect", "read", "with_tensors"]
