"""The kinds of source: one file each, one entry here each."""

from typing import Protocol

from hmnpack.registry import Registry
from hmnpack.runtime.progress import Listener
from hmnpack.sources.types import Source, SourceOptions


class Reader(Protocol):
    """Opens the data sets of one kind."""

    def __call__(self, spec: str, options: SourceOptions, listener: Listener) -> Source:
        """Return the data set that the text names."""


NAMED: Registry[Reader] = Registry("data set")
"""Readers of data sets that go by a name."""

KINDS: Registry[Reader] = Registry("kind of source")
"""Readers of data sets that go by a path (`folder`, `parquet`) or an address (`hf`)."""
