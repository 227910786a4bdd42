"""The pool: networks trained once on the real images, stored with their untrained weights.

Matching through weights between the two stands for matching at every stage of a training, without
any training inside the loop (condensation practice: "middle encoders"). On demand the weights after
every epoch are kept, too: the stages of a training as they were, in order. A pool depends on the
data and its own settings alone, so it serves every budget and every bundle, from a cache.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hmnpack.checkpoint import read_if_there, write_state
from hmnpack.errors import BadSettings
from hmnpack.matching.data import RealData
from hmnpack.matching.snapshots import Snapshots, Weights
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.runtime import Listener, kind_of, silent, stream
from hmnpack.schema.config import NetworkConfig, PoolConfig
from hmnpack.together import at_once_on, groups_of, train_together, within_memory
from hmnpack.training import TrainState, read_training, schedule_of
from hmnpack.work import work_folder, work_name

_KIND = "pool-3"
"""To be raised when training leads to other weights, or a file's layout changes."""


class Pool:
    """Trained networks with the weights that they started from, and one to run any mixture.

    Args:
        trained: The networks; on the device.
        initial: Weights of each before its training.
        architecture: Of all of them.
        kept: Weights of each after every epoch but the last; none where they were not kept.
    """

    def __init__(
        self,
        trained: list[FeatureNetwork],
        initial: list[Weights],
        architecture: NetworkConfig,
        kept: Sequence[list[Weights]] = (),
    ) -> None:
        self.architecture = architecture
        self._trained = [network.requires_grad_(False).eval() for network in trained]
        self._initial = initial
        self._runner = copy.deepcopy(self._trained[0])
        self._stages = [
            [*(_with(network, weights) for weights in (start, *between)), network]
            for network, start, between in zip(self._trained, initial, kept, strict=False)
        ]

    def __len__(self) -> int:
        return len(self._trained)

    @property
    def epochs(self) -> int:
        """Epochs of a training whose snapshots are here; 0: there are none."""
        return len(self._stages[0]) - 1 if self._stages else 0

    def snapshot(self, index: int, epoch: int) -> FeatureNetwork:
        """Return a network as it was after so many epochs, from 0 (untrained) to the last."""
        return self._stages[index][epoch]

    def some(self, indices: Sequence[int]) -> "Pool":
        """Return a pool of some of the networks."""
        trained = [self._trained[i] for i in indices]
        return Pool(trained, [self._initial[i] for i in indices], self.architecture)

    def trained(self, index: int) -> FeatureNetwork:
        """Return a network as it was after its training."""
        return self._trained[index]

    @torch.no_grad()
    def between(self, index: int, part: float) -> FeatureNetwork:
        """Return a network with weights between a trained one's initial and final ones.

        The next call overwrites them.

        Args:
            index: Which network.
            part: 0 for the final weights, 1 for the initial ones.
        """
        final = self._trained[index].state_dict()
        for name, value in self._runner.state_dict().items():
            if value.is_floating_point():
                torch.lerp(final[name], self._initial[index][name], part, out=value)
            else:
                value.copy_(final[name])
        return self._runner

    def copy_between(self, index: int, part: float) -> FeatureNetwork:
        """Return a network of one's own, to be trained, with the weights of :meth:`between`."""
        return copy.deepcopy(self.between(index, part)).requires_grad_(True).train()


def pool_of(  # noqa: PLR0913
    data: RealData,
    config: PoolConfig,
    seed: int,
    folder: Path,
    listener: Listener = silent,
    after_epoch: Callable[[], None] = lambda: None,
    *,
    at_once: int | None = None,
    snapshots: bool = False,
) -> Pool:
    """Return the pool of a data set, from the cache or trained and cached now.

    Networks whose training was interrupted go on at the epoch that they had reached. On an
    accelerator all that are missing are trained at once, if none is ahead of the others.

    Args:
        data: The real images.
        config: Number of networks, architecture, training.
        seed: Seed of the run; network i has streams of its own.
        folder: The cache; files are named by what their weights depend on.
        listener: Hears of every epoch.
        after_epoch: Called when an epoch's state is safe on disk; it may raise to stop.
        at_once: Networks that are trained at a time; None: 1 on a CPU, else all.
        snapshots: Also keep what they are after each epoch. A network whose snapshots are not all
            in the cache is trained again: its weights end the same.
    """
    epochs = schedule_of(config.train, len(data.labels), config.min_steps).epochs
    key = _key(data, config, seed)
    members = [
        _Member(
            index,
            untrained(data, config.network, stream(seed, "pool", index), "pool.network.name"),
            folder / f"{key}-{index}.pt",
            epochs if snapshots else 0,
        )
        for index in range(config.size)
    ]
    initial = [weights_of(member.network) for member in members]
    trained = [member.load() for member in members]
    missing = [member for member, done in zip(members, trained, strict=True) if not done]
    if missing:
        work_folder(folder)
    training = _Training(data, config, seed, listener, after_epoch)
    for some in groups_of(missing, at_once_on(data.device, at_once)):
        within_memory(some, training.of)
    kept = [member.kept() for member in members] if snapshots else []
    return Pool([member.network for member in members], initial, config.network, kept)


def untrained(
    data: RealData, config: NetworkConfig, generator: torch.Generator, setting: str
) -> FeatureNetwork:
    """Return a new network to match through, on the images' device.

    Args:
        data: The real images.
        config: Architecture.
        generator: CPU generator; draws the weights.
        setting: Where its name was set.

    Raises:
        BadSettings: if the network gives no features.
    """
    network = build_network(config, classes=data.classes, image=data.shape, generator=generator)
    return feature_network(network, setting, config).to(data.device)


def feature_network(network: nn.Module, setting: str, config: NetworkConfig) -> FeatureNetwork:
    """Return the network itself, if there are features of it to match.

    Args:
        network: Of that architecture.
        setting: Where its name was set.
        config: Architecture.

    Raises:
        BadSettings: if the network gives no features.
    """
    if not isinstance(network, FeatureNetwork):
        raise BadSettings(
            f"{setting} {config.name!r} gives no features of its blocks to match; "
            "use convnet or resnet-ap"
        )
    return network


@dataclass(frozen=True)
class _Member:
    """A network of the pool, and where it goes.

    Attributes:
        index: Its number.
        network: Untrained at first.
        path: The file of its trained weights; beside it those of an unfinished training, and of
            its snapshots.
        epochs: Epochs of its training if there are to be snapshots, else 0.
    """

    index: int
    network: FeatureNetwork
    path: Path
    epochs: int

    def load(self) -> bool:
        """Give the network the weights of its file; return whether all was there, and readable."""
        try:
            weights = read_if_there(self.path)
        except BadSettings:
            return False
        if self.epochs and self.snapshots.read() is None:
            return False
        if weights is not None:
            self.network.load_state_dict(weights)
        return weights is not None

    def kept(self) -> list[Weights]:
        """Return its weights after each epoch but the last, on the network's device.

        Raises:
            BadSettings: if somebody has removed them since they were found.
        """
        found, device = self.snapshots.read(), next(self.network.parameters()).device
        if found is None:
            raise BadSettings(f"snapshots beside {self.path} were lost meanwhile; start again")
        return [{name: value.to(device) for name, value in some.items()} for some in found]

    def resumed(self, device: torch.device) -> TrainState | None:
        """Return where its training was, unless snapshots of the epochs before are missing."""
        state = read_training(self.unfinished, device)
        if state and self.epochs and not self.snapshots.are_there(state.epoch):
            return None
        return state

    def keep(self, state: TrainState) -> None:
        """Write a state to go on from; the snapshot first, so that it is there if that is."""
        if self.epochs and state.epoch < self.epochs:
            self.snapshots.write(state.epoch, state.network)
        write_state(self.unfinished, vars(state))

    @property
    def snapshots(self) -> Snapshots:
        """The files of its snapshots."""
        return Snapshots(self.path, self.epochs)

    @property
    def name(self) -> str:
        """Name of its training and of that training's random streams."""
        return f"pool network {self.index + 1}"

    @property
    def unfinished(self) -> Path:
        """The file of a training that is under way."""
        return self.path.with_suffix(".part")


@dataclass(frozen=True)
class _Training:
    """How networks of a pool are trained, and who is told."""

    data: RealData
    config: PoolConfig
    seed: int
    listener: Listener
    after_epoch: Callable[[], None]

    def of(self, members: Sequence[_Member]) -> Sequence[_Member]:
        """Train some networks from where they are, and write them."""
        train_together(
            [member.network for member in members],
            [(self.data.images, self.data.labels)] * len(members),
            self.config.train,
            normalisation=self.data.normalisation,
            seed=self.seed,
            names=[member.name for member in members],
            min_steps=self.config.min_steps,
            resume=[member.resumed(self.data.device) for member in members],
            on_epoch=lambda which, states: self._keep(members[which], states),
            listener=self.listener,
        )
        for member in members:
            write_state(member.path, member.network.state_dict())
            member.unfinished.unlink(missing_ok=True)
        return members

    def _keep(self, members: Sequence[_Member], states: Sequence[TrainState]) -> None:
        for member, state in zip(members, states, strict=True):
            member.keep(state)
        self.after_epoch()


def _with(network: FeatureNetwork, weights: Weights) -> FeatureNetwork:
    """Return a copy of a network with other weights."""
    other = copy.deepcopy(network)
    other.load_state_dict(weights)
    return other


def weights_of(network: nn.Module) -> Weights:
    """Return copies of a network's weights, by name."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _key(data: RealData, config: PoolConfig, seed: int) -> str:
    # The size of the pool is left out: network i is the same in a larger pool.
    settings = config.model_copy(update={"size": 1}).model_dump_json()
    return work_name(_KIND, data.fingerprint, settings, seed, kind_of(data.device))
