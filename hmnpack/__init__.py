"""Pack a labelled image data set into one small file, and unpack it into training images.

The front door. Everything here is imported on first use, so that ``import hmnpack`` is quick and
needs no torch until a tensor is wanted.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hmnpack.version import __version__

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle, inspect
    from hmnpack.compressor import compress
    from hmnpack.dataset import CondensedDataset, load
    from hmnpack.evaluation import evaluate
    from hmnpack.page import report
    from hmnpack.pruning import prune
    from hmnpack.scores import record
    from hmnpack.sources import open_source
    from hmnpack.verification import verify
    from hmnpack.writers import expand

__all__ = [
    "Bundle",
    "CondensedDataset",
    "__version__",
    "compress",
    "evaluate",
    "expand",
    "inspect",
    "load",
    "open_source",
    "prune",
    "record",
    "report",
    "verify",
]

_HOMES = {
    "Bundle": "bundle",
    "inspect": "bundle",
    "compress": "compressor",
    "CondensedDataset": "dataset",
    "load": "dataset",
    "evaluate": "evaluation",
    "open_source": "sources",
    "prune": "pruning",
    "record": "scores",
    "report": "page",
    "verify": "verification",
    "expand": "writers",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module 'hmnpack' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hmnpack.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
