"""Checks before any work: settings and data on which a later stage would fail."""

from collections.abc import Iterator
from typing import NamedTuple

from hmnpack.errors import BadData, BadSettings
from hmnpack.matching import OBJECTIVES, feature_network
from hmnpack.networks import network_on_meta
from hmnpack.pruning import check_rows
from hmnpack.runtime.ranks import World
from hmnpack.schema.class_names import listed_bytes, storable_class_names
from hmnpack.schema.config import CompressConfig, NetworkConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.pruning import MAX_LISTED
from hmnpack.schema.stages import has_stage, stages_of
from hmnpack.sources import Source


def check_classes(source: Source) -> None:
    """Check that there are at least two classes, and that a file can store their names.

    Raises:
        BadData: if there is one class, or if the names do not fit into a file's header.
    """
    if len(source.classes) < 2:
        chosen = f", {source.classes[0]!r}, that was chosen" if source.chosen else ""
        raise BadData(f"{source.name} has one class{chosen}; condensing needs two or more")
    size = listed_bytes(storable_class_names(source.classes))
    if size > MAX_LISTED:
        raise BadData(
            f"the names of the {len(source.classes):,} classes of {source.name} take {size:,} "
            f"bytes, but a file holds at most {MAX_LISTED:,}; shorten them"
        )


def check_early(config: CompressConfig, spec: ContainerSpec, world: World) -> None:
    """Check a run's settings against each other, the data's shape and the ranks.

    Args:
        config: The settings.
        spec: The planned container.
        world: The ranks of the run.

    Raises:
        BadSettings: if some stage could not run.
        MissingExtra: if a network needs a package that is not installed.
    """
    if world.size > spec.classes:
        raise BadSettings(
            f"{world.size} ranks for {spec.classes} classes; start at most one rank per class"
        )
    if config.rival is not None and world.size > 1:
        raise BadSettings(
            f"recipe {config.recipe} runs in one process, not in {world.size} ranks; start it "
            "without torchrun"
        )
    check_rows(spec, config.prune)
    if has_stage(config, "matching"):
        OBJECTIVES[config.match.objective]
    for used in networks_of(config):
        _check_network(used, spec)


class Used(NamedTuple):
    """A network that a run builds.

    Attributes:
        network: Architecture.
        group: Group of its settings.
        gives_features: Whether the network must expose the features of its blocks.
    """

    network: NetworkConfig
    group: str
    gives_features: bool = False


def networks_of(config: CompressConfig) -> Iterator[Used]:
    """Yield each network that a run builds."""
    for stage in stages_of(config):
        if stage.network is not None:
            group = "prune" if stage.name == "pruning" else stage.name
            yield Used(stage.network, group, gives_features=stage.needs_features)


def _check_network(used: Used, spec: ContainerSpec) -> None:
    """Check a network by building it on the meta device; see :func:`check_early`."""
    network = network_on_meta(used.network, classes=spec.classes, image=spec.image)
    if used.gives_features:
        feature_network(network, used.network, used.group)
