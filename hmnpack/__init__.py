"""Compress a labelled image dataset into one small file, and expand it into training images.

The public interface. Names are imported on first use, so ``import hmnpack`` is fast and does not
import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hmnpack.version import __version__ as __version__

if TYPE_CHECKING:  # repeats the table below for type checkers; a test compares the two
    from hmnpack.bundle import Bundle as Bundle
    from hmnpack.bundle import inspect as inspect
    from hmnpack.bundle.joining import merge as merge
    from hmnpack.bundle.joining import split as split
    from hmnpack.bundle.pack import pack as pack
    from hmnpack.bundle.pull import pull as pull
    from hmnpack.bundle.push import push as push
    from hmnpack.condensing.append import append as append
    from hmnpack.condensing.compress import compress as compress
    from hmnpack.condensing.plan import Plan as Plan
    from hmnpack.condensing.plan import plan as plan
    from hmnpack.condensing.request import RunOptions as RunOptions
    from hmnpack.dataset import CondensedDataset as CondensedDataset
    from hmnpack.dataset import concat as concat
    from hmnpack.dataset import load as load
    from hmnpack.errors import HmnError as HmnError
    from hmnpack.errors import Paused as Paused
    from hmnpack.evaluation import evaluate as evaluate
    from hmnpack.evaluation.audit import audit as audit
    from hmnpack.evaluation.scores import record as record
    from hmnpack.evaluation.verification import verify as verify
    from hmnpack.page import report as report
    from hmnpack.pruning import prune as prune
    from hmnpack.schema.config import CompressConfig as CompressConfig
    from hmnpack.schema.config import PruneConfig as PruneConfig
    from hmnpack.schema.evaluation import EvaluateConfig as EvaluateConfig
    from hmnpack.sources import SourceOptions as SourceOptions
    from hmnpack.sources import open_source as open_source
    from hmnpack.sources import tensor_source as tensor_source
    from hmnpack.writers import expand as expand

_HOMES = {
    "Bundle": "bundle",
    "CompressConfig": "schema.config",
    "CondensedDataset": "dataset",
    "EvaluateConfig": "schema.evaluation",
    "HmnError": "errors",
    "Paused": "errors",
    "Plan": "condensing.plan",
    "PruneConfig": "schema.config",
    "RunOptions": "condensing.request",
    "SourceOptions": "sources",
    "append": "condensing.append",
    "audit": "evaluation.audit",
    "compress": "condensing.compress",
    "concat": "dataset",
    "evaluate": "evaluation",
    "expand": "writers",
    "inspect": "bundle",
    "load": "dataset",
    "merge": "bundle.joining",
    "open_source": "sources",
    "pack": "bundle.pack",
    "plan": "condensing.plan",
    "prune": "pruning",
    "pull": "bundle.pull",
    "push": "bundle.push",
    "record": "evaluation.scores",
    "report": "page",
    "split": "bundle.joining",
    "tensor_source": "sources",
    "verify": "evaluation.verification",
}
"""Public names, each with the module that defines it."""

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module 'hmnpack' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hmnpack.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
