"""Writes decoded images in formats that other tools read: one module per format."""

from hmnpack.writers.base import Album, Writer
from hmnpack.writers.folder import write_folder
from hmnpack.writers.npz import write_npz
from hmnpack.writers.parquet import write_parquet
from hmnpack.writers.run import expand
from hmnpack.writers.sheet import write_sheet
from hmnpack.writers.tar import write_tar

__all__ = [
    "Album",
    "Writer",
    "expand",
    "write_folder",
    "write_npz",
    "write_parquet",
    "write_sheet",
    "write_tar",
]
