"""The pool: networks trained once on the real images, stored with their initial weights.

Matching through weights interpolated between the two approximates matching at every stage of
training, without training inside the loop (known as "middle encoders"). A pool depends only on the
data and its own settings, so one cached pool serves every budget and every bundle.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hmnpack.errors import BadSettings, Paused
from hmnpack.matching.data import RealData
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import Entry, Store
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, PoolConfig
from hmnpack.training import (
    at_once_on,
    groups_of,
    saving,
    train_together,
    training_in,
    within_memory,
)
from hmnpack.training.loop import TrainState

Weights = dict[str, Tensor]

_KIND = "pool-4"
"""Kind and version of cache entries; increase it when the trained weights or their layout change.
"""


class Pool:
    """Trained networks with their initial weights, and one network for interpolated weights.

    Args:
        trained: The trained networks, on the device.
        initial: Weights of each network before its training.
        architecture: Architecture of all networks.
    """

    def __init__(
        self, trained: list[FeatureNetwork], initial: list[Weights], architecture: NetworkConfig
    ) -> None:
        self.architecture = architecture
        self._trained = [network.requires_grad_(False).eval() for network in trained]
        self._initial = initial
        self._runner = copy.deepcopy(self._trained[0])

    def __len__(self) -> int:
        return len(self._trained)

    def some(self, indices: Sequence[int]) -> "Pool":
        """Return a pool of some of the networks."""
        trained = [self._trained[i] for i in indices]
        return Pool(trained, [self._initial[i] for i in indices], self.architecture)

    def trained(self, index: int) -> FeatureNetwork:
        """Return a trained network."""
        return self._trained[index]

    def initial(self, index: int) -> Weights:
        """Return the initial weights of a network, by name."""
        return self._initial[index]

    @torch.no_grad()
    def between(self, index: int, part: float) -> FeatureNetwork:
        """Return a network with weights interpolated between initial and final ones.

        The next call overwrites the weights of the returned network.

        Args:
            index: Index of the network.
            part: Position from the final weights (0) to the initial ones (1).
        """
        final = self._trained[index].state_dict()
        for name, value in self._runner.state_dict().items():
            if value.is_floating_point():
                torch.lerp(final[name], self._initial[index][name], part, out=value)
            else:
                value.copy_(final[name])
        return self._runner


def load_or_train_pool(  # noqa: PLR0913
    data: RealData,
    config: PoolConfig,
    seed: int,
    folder: Path,
    listener: Listener = no_progress,
    after_epoch: Callable[[], None] = lambda: None,
    *,
    at_once: int | None = None,
) -> Pool:
    """Load the pool of a dataset from the cache, or train and cache it.

    A paused training resumes at the epoch that it had reached, one that was killed up to a minute
    before. On an accelerator the missing
    networks are trained as one batch, unless one is ahead of the others.

    Args:
        data: The real images.
        config: Number of networks, architecture, training.
        seed: Seed of the run; network i has its own random streams.
        folder: The cache; file names are derived from everything that determines the weights.
        listener: Called after every epoch.
        after_epoch: Called after each epoch; if it raises ``Paused``, the state is on disk.
        at_once: Networks trained as one batch, 1 or more; None: chosen for the device.

    Raises:
        BadSettings: if a network exposes no features, the cache cannot be written, or the state of
            an unfinished training cannot be read.
    """
    store, facts = Store(folder), _facts(data, config, seed)
    members = [
        _Member(
            index,
            _untrained(data, config.network, stream(seed, "pool", index)),
            store.entry(_KIND, *facts, index),
        )
        for index in range(config.size)
    ]
    initial = [_weights_of(member.network) for member in members]
    missing = [member for member in members if not member.load()]
    if missing:
        store.check_writable("the cache", "name another with --cache-dir or HMNPACK_CACHE")
    training = _Training(data, config, seed, listener, after_epoch)
    for some in groups_of(missing, at_once_on(data.device, at_once)):
        within_memory(some, training.of)
    return Pool([member.network for member in members], initial, config.network)


def _untrained(data: RealData, config: NetworkConfig, generator: torch.Generator) -> FeatureNetwork:
    """Return a new matching network, on the images' device."""
    network = build_network(config, classes=data.classes, image=data.shape, generator=generator)
    return feature_network(network, config).to(data.device)


def feature_network(
    network: nn.Module, config: NetworkConfig, group: str = "pool"
) -> FeatureNetwork:
    """Check that a network exposes features to match, and return it.

    Args:
        network: The network.
        config: Its architecture.
        group: Group of its settings, for the message.

    Raises:
        BadSettings: if the network exposes no features.
    """
    if not isinstance(network, FeatureNetwork):
        raise BadSettings(
            f"{group}.network.name {config.name!r} exposes no block features to match; "
            "use convnet or resnet-ap"
        )
    return network


@dataclass(frozen=True)
class _Member:
    """A network of the pool.

    Attributes:
        index: Index in the pool.
        network: The network, initially untrained.
        entry: Cache entry of its trained weights.
    """

    index: int
    network: FeatureNetwork
    entry: Entry

    def load(self) -> bool:
        """Load the cached weights, if there are any; return whether there were."""
        weights = self.entry.value()
        if weights is not None:
            self.network.load_state_dict(weights)
        return weights is not None

    @property
    def name(self) -> str:
        """Name of its training, which also seeds the training's random streams."""
        return f"pool network {self.index + 1}"


@dataclass(frozen=True)
class _Training:
    """Data, settings and callbacks for training a pool's networks."""

    data: RealData
    config: PoolConfig
    seed: int
    listener: Listener
    after_epoch: Callable[[], None]

    def of(self, members: Sequence[_Member]) -> Sequence[_Member]:
        """Train some networks, resuming unfinished trainings, and cache their weights."""
        entries = [member.entry for member in members]
        save_if_due, save_now = saving(entries), saving(entries, seconds=0)

        def on_epoch(which: slice, states: list[TrainState]) -> None:
            save_if_due(which, states)
            try:
                self.after_epoch()
            except Paused:
                save_now(which, states)
                raise

        train_together(
            [member.network for member in members],
            [(self.data.images, self.data.labels)] * len(members),
            self.config.train,
            normalisation=self.data.normalisation,
            seed=self.seed,
            names=[member.name for member in members],
            min_steps=self.config.min_steps,
            resume=[training_in(member.entry, self.data.device) for member in members],
            on_epoch=on_epoch,
            listener=self.listener,
        )
        for member in members:
            member.entry.finish(member.network.state_dict())
        return members


def _weights_of(network: nn.Module) -> Weights:
    """Return copies of a network's weights, by name."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _facts(data: RealData, config: PoolConfig, seed: int) -> tuple[object, ...]:
    """Return everything that determines the weights of a network, except its index.

    The size of the pool is excluded: network i is the same in a larger pool.
    """
    settings = config.model_copy(update={"size": 1}).model_dump_json()
    return data.fingerprint, settings, seed, kind_of(data.device)
