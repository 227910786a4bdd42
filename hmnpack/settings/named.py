"""Recipes and protocols by name, for a dataset and a budget."""

from collections.abc import Callable

from hmnpack.registry import PROTOCOLS, RECIPES
from hmnpack.schema import recipes, rivals, rivals_trained
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.depth import shallow_enough
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.recipes import DataShape

CPU_RECIPE = "fast"
ACCELERATOR_RECIPE = "best"

FITTED: dict[str, Callable[[DataShape], CompressConfig]] = {
    "fast": recipes.fast,
    "paper": recipes.paper,
    "haba": rivals.haba,
    "linba": rivals.linba,
}
"""Recipes whose settings depend on the dataset."""

BY_BUDGET: dict[str, Callable[[DataShape, int], CompressConfig]] = {
    "dc": rivals.dc,
    "dsa": rivals.dsa,
    "dm": rivals.dm,
    "idc": rivals.idc,
    "cafe": rivals_trained.cafe,
    "cafe-dsa": rivals_trained.cafe_dsa,
    "idm": rivals_trained.idm,
    "mtt": rivals_trained.mtt,
}
"""Recipes whose settings depend on the dataset and on the budget in images per class."""


def default_recipe(device: str) -> str:
    """Return the name of the default recipe.

    Args:
        device: Device type: ``cpu``, ``cuda``, ...
    """
    return CPU_RECIPE if device == "cpu" else ACCELERATOR_RECIPE


def recipe_of(name: str, data: DataShape | None = None, ipc: int = 1) -> CompressConfig:
    """Return the settings of a recipe.

    ConvNets are only as deep as the images allow.

    Args:
        name: Name of the recipe.
        data: Shape of the dataset, see ``Source.shape``; None: CIFAR-10.
        ipc: Budget, in images per class.

    Raises:
        BadSettings: if the recipe is unknown.
    """
    found = RECIPES[name]
    if name in BY_BUDGET:
        found = BY_BUDGET[name](data or recipes.CIFAR10, ipc)
    elif data is not None and name in FITTED:
        found = FITTED[name](data)
    return found if data is None else shallow_enough(found, data.image)


def shape_of_file(manifest: Manifest) -> DataShape:
    """Return the shape of the dataset that a file was made from."""
    return DataShape(
        name=manifest.source.name, classes=len(manifest.classes), image=manifest.container.image
    )


def protocol_of(name: str, manifest: Manifest) -> EvaluateConfig:
    """Return the settings of a protocol for a bundle's dataset and budget; see `protocol_for`.

    Args:
        name: Name of the protocol.
        manifest: Manifest of the bundle.

    Raises:
        BadSettings: if the protocol is unknown.
    """
    return protocol_for(name, shape_of_file(manifest), manifest.nearest_ipc)


def protocol_for(name: str, data: DataShape, ipc: int) -> EvaluateConfig:
    """Return the settings of a protocol for a dataset and a budget.

    A ConvNet is only as deep as the images allow.

    Args:
        name: Name of the protocol.
        data: Shape of the dataset.
        ipc: Budget, in images per class.

    Raises:
        BadSettings: if the protocol is unknown.
    """
    return shallow_enough(PROTOCOLS[name](data, ipc), data.image)
