"""Names that select an implementation: one table of all of them, of text until a name is used.

The library looks a name up in the same table that the command line offers it from. Nothing is
imported for the list of names, so ``--help`` and completion need not wait for torch. Where an entry
is of a room above this one its type is that of the variable that it is assigned to. Only what
stands here is ever imported: a name out of a file or a command selects a row, or is refused.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from hmnpack.errors import BadSettings
from hmnpack.schema.names import Protocol

if TYPE_CHECKING:
    from hmnpack.schema.config import CompressConfig
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.schema.recipes import DataShape

T = TypeVar("T")


class Registry(Generic[T]):
    """Implementations by name, in the order of the table; each is imported when it is looked up.

    Args:
        kind: What the entries are, for messages, such as ``"recipe"``.
        places: Name -> ``"module:attribute"``.
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self.kind = kind
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        if name not in self._places:
            raise unknown_name(self.kind, name, self._places)
        module, _, attribute = self._places[name].partition(":")
        found: T = getattr(importlib.import_module(module), attribute)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BadSettings:
    """Return the error for a name that is not known, which suggests the nearest ones.

    Args:
        kind: What it should name, such as ``"recipe"``.
        name: The name.
        known: The names that there are.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5) or names
    return BadSettings(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")


DATA_SETS: Registry[Any] = Registry(
    "data set",
    {
        "cifar10": "hmnpack.sources.named:CIFAR10",
        "cifar100": "hmnpack.sources.named:CIFAR100",
        "digits": "hmnpack.sources.digits:open_digits",
        "fashion-mnist": "hmnpack.sources.named:FASHION_MNIST",
        "imagenette": "hmnpack.sources.imagenette:open_imagenette",
        "mnist": "hmnpack.sources.named:MNIST",
        "stl10": "hmnpack.sources.named:STL10",
        "svhn": "hmnpack.sources.named:SVHN",
    },
)
"""Readers of the datasets that have a name (:class:`hmnpack.sources.types.Reader`).

The others have a path or an address, see ``sources/open.py``.
"""

NETWORKS: Registry[Any] = Registry(
    "network",
    {
        "convnet": "hmnpack.networks.convnet:convnet",
        "resnet-ap": "hmnpack.networks.resnet_ap:resnet_ap",
        "vgg16": "hmnpack.networks.small:vgg16",
        "resnet18": "hmnpack.networks.small:resnet18",
        "densenet121": "hmnpack.networks.small:densenet121",
    },
)
"""Networks of our own (:data:`hmnpack.networks.build.Builder`)."""

NETWORK_LIBRARIES: Registry[Any] = Registry(
    "network library",
    {
        "torchvision": "hmnpack.networks.libraries:torchvision_network",
        "timm": "hmnpack.networks.libraries:timm_network",
    },
)
"""Libraries whose networks have a name of the form ``library:name``."""

CONTAINERS: Registry[Any] = Registry(
    "container",
    {
        "hmn/1": "hmnpack.container.hmn:HMN",
        "images/1": "hmnpack.container.images:Images",
    },
)
"""Containers (:class:`hmnpack.container.Container`), by their kind in a manifest."""

OBJECTIVES: Registry[Any] = Registry(
    "objective",
    {
        "characteristic": "hmnpack.matching:FeatureMatching",
        "features": "hmnpack.matching:FeatureMatching",
    },
)
"""Objectives of feature matching (:class:`hmnpack.matching.Objective`): each is made from a
:class:`hmnpack.matching.Match`, which has the data, the pool and the settings."""

RECIPES: "Registry[CompressConfig]" = Registry(
    "recipe",
    {
        "fast": "hmnpack.schema.recipes:FAST",
        "best": "hmnpack.schema.recipes:BEST",
        "paper": "hmnpack.schema.recipes:PAPER",
        "smoke": "hmnpack.schema.recipes:SMOKE",
    },
)
"""Recipes, each as it is for CIFAR-10."""

PROTOCOLS: "Registry[Callable[[DataShape, int], EvaluateConfig]]" = Registry(
    "protocol", {name: f"hmnpack.schema.protocols:{name}" for name in get_args(Protocol)}
)
"""Protocols, the default first: from a dataset and a budget (ipc) to settings of an evaluation."""

WRITERS: Registry[Any] = Registry(
    "format",
    {
        "folder": "hmnpack.writers.folder:write_folder",
        "parquet": "hmnpack.writers.parquet:write_parquet",
        "tar": "hmnpack.writers.tar:write_tar",
        "sheet": "hmnpack.writers.sheet:write_sheet",
    },
)
"""Forms that images are written in (:class:`hmnpack.writers.base.Writer`), the default first."""
