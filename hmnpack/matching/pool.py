"""The pool: networks trained once on the real images, stored with their untrained weights.

Matching through weights between the two stands for matching at every stage of a training, without
any training inside the loop (condensation practice: "middle encoders"). A pool depends on the
data and its own settings alone, so it serves every budget and every bundle, from a cache.
"""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hmnpack.augment import Draws, apply, normalise
from hmnpack.checkpoint import read_state, write_state
from hmnpack.errors import BadSettings
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.runtime import Listener, silent, stream
from hmnpack.schema.config import NetworkConfig, PoolConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import TrainState, train

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class RealData:
    """The real images that condensing sees, on the device that it runs on.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        classes: Number of classes K.
        normalisation: Mean and standard deviation of the images.
        fingerprint: Names the images and labels, for caches.
        parts: int64 [N], the part of its class that each image belongs to, see
            :mod:`hmnpack.matching.parts`; None: classes are whole.
        parts_each: Number of parts of every class; no part is empty.
    """

    images: Tensor
    labels: Tensor
    classes: int
    normalisation: Normalisation
    fingerprint: str
    parts: Tensor | None = None
    parts_each: int = 1

    def rows_of(self, label: int, part: int = 0) -> Tensor:
        """Return which images belong to a class, or to a part of it: int64 [n]."""
        own = self.labels == label
        if self.parts is not None:
            own &= self.parts == part
        return own.nonzero().flatten()

    @property
    def shape(self) -> ImageShape:
        """Shape of an image."""
        channels, height, width = self.images.shape[1:]
        return ImageShape(channels=channels, height=height, width=width)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def prepared(self, images: Tensor, classes: Tensor, draws: Draws) -> Tensor:
        """Normalise and augment images, with one draw per class for all of its (siamese).

        Args:
            images: In [0, 1], [k * n, C, H, W], class by class; real or synthetic.
            classes: int64 [k], the numbers of their classes.
            draws: One for each of all K classes.
        """
        rows = classes.repeat_interleave(len(images) // len(classes))
        return apply(normalise(images, self.normalisation), draws.index(rows))


class Pool:
    """Trained networks with the weights that they started from, and one to run any mixture.

    Args:
        trained: The networks; on the device.
        initial: Weights of each before its training.
    """

    def __init__(self, trained: list[FeatureNetwork], initial: list[Weights]) -> None:
        self._trained = [network.requires_grad_(False).eval() for network in trained]
        self._initial = initial
        self._runner = copy.deepcopy(self._trained[0])

    def __len__(self) -> int:
        return len(self._trained)

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


def pool_of(
    data: RealData,
    config: PoolConfig,
    seed: int,
    folder: Path,
    listener: Listener = silent,
    after_epoch: Callable[[], None] = lambda: None,
) -> Pool:
    """Return the pool of a data set, from the cache or trained and cached now.

    A network whose training was interrupted goes on at the epoch that it had reached.

    Args:
        data: The real images.
        config: Number of networks, architecture, training.
        seed: Seed of the run; network i has streams of its own.
        folder: The cache; files are named by what their weights depend on.
        listener: Hears of every epoch.
        after_epoch: Called when an epoch's state is safe on disk; it may raise to stop.
    """
    networks, initial = [], []
    for index in range(config.size):
        generator = stream(seed, "pool", index)
        network = untrained(data, config.network, generator, "pool.network.name")
        initial.append(weights_of(network))
        path = folder / f"{_key(data, config, seed)}-{index}.pt"
        if path.exists():
            network.load_state_dict(read_state(path))
        else:
            _train(network, data, config, _Training(seed, index, path, listener, after_epoch))
        networks.append(network)
    return Pool(networks, initial)


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
    if not isinstance(network, FeatureNetwork):
        raise BadSettings(
            f"{setting} {config.name!r} gives no features of its blocks to match; "
            "use convnet or resnet-ap"
        )
    return network.to(data.device)


@dataclass(frozen=True)
class _Training:
    """Which network of the pool, where it goes, and who is told."""

    seed: int
    index: int
    path: Path
    listener: Listener
    after_epoch: Callable[[], None]


def _train(network: nn.Module, data: RealData, config: PoolConfig, run: _Training) -> None:
    partial = run.path.with_suffix(".part")

    def keep(state: TrainState) -> None:
        write_state(partial, vars(state))
        run.after_epoch()

    train(
        network,
        data.images,
        data.labels,
        config.train,
        normalisation=data.normalisation,
        seed=run.seed,
        name=f"pool network {run.index + 1}",
        min_steps=config.min_steps,
        resume=TrainState(**read_state(partial, data.device)) if partial.exists() else None,
        on_epoch=keep,
        listener=run.listener,
    )
    write_state(run.path, network.state_dict())
    partial.unlink(missing_ok=True)


def weights_of(network: nn.Module) -> Weights:
    """Return copies of a network's weights, by name."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _key(data: RealData, config: PoolConfig, seed: int) -> str:
    # The size of the pool is left out: network i is the same in a larger pool.
    settings = config.model_copy(update={"size": 1}).model_dump_json()
    facts = (data.fingerprint, settings, seed, data.device.type, torch.__version__)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
