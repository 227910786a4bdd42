"""Pack a labelled image data set into one small file, and unpack it into training images.

The front door. Everything here is imported on first use, so that ``import hmnpack`` is quick and
needs no torch until a tensor is wanted.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hmnpack.version import __version__

if TYPE_CHECKING:
    from hmnpack.bundle import Bundle, inspect
    from hmnpack.compressor import RunOptions, compress
    from hmnpack.dataset import CondensedDataset, load
    from hmnpack.errors import HmnError
    from hmnpack.evaluation import evaluate
    from hmnpack.page import report
    from hmnpack.pruning import prune
    from hmnpack.schema.config import CompressConfig, PruneConfig
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.scores import record
    from hmnpack.sources import SourceOptions, open_source, tensor_source
    from hmnpack.verification import verify
    from hmnpack.writers import expand

__all__ = [
    "Bundle",
    "CompressConfig",
    "CondensedDataset",
    "EvaluateConfig",
    "HmnError",
    "PruneConfig",
    "RunOptions",
    "SourceOptions",
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
    "tensor_source",
    "verify",
]

_HOMES = {
    "Bundle": "bundle",
    "inspect": "bundle",
    "RunOptions": "compressor",
    "compress": "compressor",
    "CondensedDataset": "dataset",
    "load": "dataset",
    "HmnError": "errors",
    "evaluate": "evaluation",
    "CompressConfig": "schema.config",
    "PruneConfig": "schema.config",
    "EvaluateConfig": "schema.evaluation",
    "SourceOptions": "sources",
    "open_source": "sources",
    "tensor_source": "sources",
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
