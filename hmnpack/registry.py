"""Tables of the names that select an implementation.

The library and the command line use the same tables. An entry is text until its name is looked
up, so listing names imports nothing, and ``--help`` and completion need not wait for torch. The
table imports no other package for its types: an entry has the type of the variable it is assigned
to. Only entries of these tables are ever imported: a name from a file or a command selects an
entry or is an error.
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

_MOST = 20
"""Maximum number of names that a message lists."""


class Registry(Generic[T]):
    """Implementations by name, in the order of the table, imported on lookup.

    Args:
        kind: Kind of the entries, for messages, such as ``"recipe"``.
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
    """Return the error for an unknown name, with the closest known names as suggestions.

    Args:
        kind: Kind of the name, such as ``"recipe"``.
        name: The unknown name.
        known: The known names.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5) or names[:_MOST]
    return BadSettings(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")


DATA_SETS: Registry[Any] = Registry(
    "dataset",
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
"""Readers of named datasets (:class:`hmnpack.sources.types.Reader`).

Datasets given by a path or an `hf:` address are opened in ``sources/open.py``.
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
"""Built-in networks (:data:`hmnpack.networks.build.Builder`)."""

NETWORK_LIBRARIES: Registry[Any] = Registry(
    "network library",
    {
        "torchvision": "hmnpack.networks.libraries:torchvision_network",
        "timm": "hmnpack.networks.libraries:timm_network",
    },
)
"""Libraries whose networks are named ``library:name``."""

CONTAINERS: Registry[Any] = Registry(
    "container",
    {
        "hmn/1": "hmnpack.container.hmn:HMN",
        "images/1": "hmnpack.container.images:Images",
        "multi-formation/1": "hmnpack.container.multi_formation:MultiFormation",
        "linear-basis/1": "hmnpack.container.linear_basis:LinearBasis",
        "hallucinator/1": "hmnpack.container.hallucinator:Hallucinator",
    },
)
"""Containers (:class:`hmnpack.container.Container`), by their ``kind`` in a manifest."""

OBJECTIVES: Registry[Any] = Registry(
    "objective",
    {
        "characteristic": "hmnpack.matching:FeatureMatching",
        "features": "hmnpack.matching:FeatureMatching",
    },
)
"""Objectives of feature matching (:class:`hmnpack.matching.Objective`).

Each is constructed from a :class:`hmnpack.matching.Match`: the data, the pool and the settings.
"""

RIVALS: Registry[Any] = Registry(
    "method",
    {
        "dc": "hmnpack.matching.dc:RowCosineMatching",
        "dm": "hmnpack.matching.dm:RandomFeatureMatching",
        "idc": "hmnpack.matching.idc:IdcMatching",
        "cafe": "hmnpack.matching.cafe:LayerwiseMatching",
        "idm": "hmnpack.matching.idm:CalibratedMatching",
        "mtt": "hmnpack.matching.mtt:TrajectoryMatching",
    },
)
"""Objectives of the methods to compare with (:class:`hmnpack.matching.Objective`).

Each is constructed from a :class:`hmnpack.matching.Match` without a pool, by the name in
``rival.method`` (:data:`hmnpack.schema.methods.METHODS`).
"""

RECIPES: "Registry[CompressConfig]" = Registry(
    "recipe",
    {
        "fast": "hmnpack.schema.recipes:FAST",
        "best": "hmnpack.schema.recipes:BEST",
        "paper": "hmnpack.schema.recipes:PAPER",
        "smoke": "hmnpack.schema.recipes:SMOKE",
        "dc": "hmnpack.schema.rivals:DC",
        "dsa": "hmnpack.schema.rivals:DSA",
        "dm": "hmnpack.schema.rivals:DM",
        "idc": "hmnpack.schema.rivals:IDC",
        "cafe": "hmnpack.schema.rivals_trained:CAFE",
        "cafe-dsa": "hmnpack.schema.rivals_trained:CAFE_DSA",
        "idm": "hmnpack.schema.rivals_trained:IDM",
        "mtt": "hmnpack.schema.rivals_trained:MTT",
        "haba": "hmnpack.schema.rivals:HABA",
        "linba": "hmnpack.schema.rivals:LINBA",
    },
)
"""Recipes, with their settings for CIFAR-10."""

PROTOCOLS: "Registry[Callable[[DataShape, int], EvaluateConfig]]" = Registry(
    "protocol", {name: f"hmnpack.schema.protocols:{name}" for name in get_args(Protocol)}
)
"""Evaluation protocols, the default first: functions of a dataset's shape and a budget (ipc)."""

WRITERS: Registry[Any] = Registry(
    "format",
    {
        "folder": "hmnpack.writers.folder:write_folder",
        "parquet": "hmnpack.writers.parquet:write_parquet",
        "tar": "hmnpack.writers.tar:write_tar",
        "npz": "hmnpack.writers.npz:write_npz",
        "sheet": "hmnpack.writers.sheet:write_sheet",
    },
)
"""Output formats for images (:class:`hmnpack.writers.base.Writer`), the default first."""
