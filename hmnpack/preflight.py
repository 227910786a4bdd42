"""What can be refused before any work: settings that a later stage would stumble over."""

from collections.abc import Iterator

import torch

from hmnpack.errors import BadData
from hmnpack.matching import (
    OBJECTIVES,
    feature_network,
    refuse_queue,
    refuse_ranks,
    refuse_regression,
)
from hmnpack.networks import build_network
from hmnpack.pruning.select import BY_MARGIN
from hmnpack.ranks import World
from hmnpack.recipes import needs_pool
from hmnpack.runtime import stream
from hmnpack.schema.config import CompressConfig, NetworkConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.sources import Source


def refuse_one_class(source: Source) -> None:
    """Check that there are classes to tell apart.

    Raises:
        BadData: if there is one.
    """
    if len(source.classes) < 2:
        raise BadData(f"{source.name} has one class; condensing needs two or more to tell apart")


def refuse_early(
    config: CompressConfig, spec: ContainerSpec, device: torch.device, world: World
) -> None:
    """Check a run's settings against each other, its data's shape, its device and its ranks.

    Args:
        config: The settings.
        spec: The container that is planned.
        device: Where the run will be.
        world: Its ranks.

    Raises:
        BadSettings: if some stage could not be done.
        MissingExtra: if a network needs a package that is not installed.
    """
    refuse_ranks(config.gradient, spec.classes, world)
    refuse_regression(config.match, device, world)
    refuse_queue(config.match)
    if config.match.steps:
        OBJECTIVES[config.match.objective]
    for setting, network, gives_features in _networks(config):
        _refuse_network(setting, network, spec, gives_features=gives_features)


def _networks(config: CompressConfig) -> Iterator[tuple[str, NetworkConfig, bool]]:
    """Give each network that the run builds: where it is set, and whether it must give features."""
    if needs_pool(config):
        yield "pool.network", config.pool.network, True
    if config.match.steps and config.match.queue.size:
        yield "match.queue.network", config.match.queue.network, True
    if config.gradient.networks and config.gradient.start != "pool":
        yield "gradient.network", config.gradient.network, config.gradient.real == "kmeans"
    if config.prune.strategy in BY_MARGIN:
        yield "prune.network", config.prune.network, False


def _refuse_network(
    setting: str, config: NetworkConfig, spec: ContainerSpec, *, gives_features: bool
) -> None:
    """Build a network once; see :func:`refuse_early`."""
    network = build_network(
        config, classes=spec.classes, image=spec.image, generator=stream(0, "preflight")
    )
    if gives_features:
        feature_network(network, f"{setting}.name", config)
