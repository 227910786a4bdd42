"""The networks that gradients are matched through: each trained on real images while in use.

A network serves ``inner_steps`` steps, then the next one begins: untrained, or from the pool. Its
state is part of a checkpoint, so that a paused run goes on inside a network's life.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hmnpack.matching.objective import Match
from hmnpack.networks import build_network
from hmnpack.runtime import seeded, stream
from hmnpack.schema.config import GradientConfig, NetworkConfig
from hmnpack.training import TrainState, optimiser_of, sgd_step, train

_LEAST = 1 / 9
"""Smallest perturbation as a part of the largest (Acc-DD draws between 0.01 and 0.09)."""


class Learner:
    """One network after another.

    Args:
        match: Data, pool, settings.
    """

    def __init__(self, match: Match[GradientConfig]) -> None:
        self.match = match
        self.number = -1
        self.network: nn.Module = nn.Identity()
        self.optimiser: torch.optim.SGD | None = None
        self._training: TrainState | None = None
        self._order: tuple[tuple[int, int], Tensor] | None = None

    @property
    def architecture(self) -> NetworkConfig:
        """Of every network: where they start from the pool, the pool's."""
        config, pool = self.match.config, self.match.pool
        return pool.architecture if config.start == "pool" and pool else config.network

    def begin(self, number: int) -> None:
        """Take up network ``number``, as it is before its first step.

        Its training goes on where a check or a pause has stopped it.
        """
        self._put(number)
        config, seed = self.match.config, self.match.seed
        if config.perturb:
            perturb(self.network, config.perturb, stream(seed, "gradient", "perturb", number))
        if config.train.epochs:
            train(
                self.network,
                self.match.data.images,
                self.match.data.labels,
                config.train,
                normalisation=self.match.data.normalisation,
                seed=seed,
                name=f"gradient network {number + 1}",
                resume=self._training,
                on_epoch=self._after_epoch,
            )
            self._training = None
        self._same_on_every_rank()

    def _after_epoch(self, state: TrainState) -> None:
        self._training = state
        self.match.check()

    def advance(self, step: int) -> None:
        """Train the network after a step, on the next ``train_images`` real images."""
        config, data = self.match.config, self.match.data
        if not config.train_images:
            return
        assert self.optimiser is not None  # noqa: S101 - a network is there after a step
        self.network.train()
        generator = stream(self.match.seed, "gradient", "train", step)
        with seeded(stream(self.match.seed, "gradient", "train network", step), data.device):
            for rows in self._batches(step % config.inner_steps):
                batch, target = data.normalised(rows), data.labels[rows]
                sgd_step(self.network, self.optimiser, batch, target, config.train, generator)
        self._same_on_every_rank()

    def state(self) -> dict[str, Any]:
        """Return the network, the optimiser's averages and the number."""
        assert self.optimiser is not None  # noqa: S101 - asked for after a step
        return {
            "number": self.number,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "training": self._training and dict(vars(self._training)),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        self._put(state["number"])
        assert self.optimiser is not None  # noqa: S101 - just put there
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        training = state.get("training")
        self._training = None if training is None else TrainState(**training)

    def _put(self, number: int) -> None:
        """Make network ``number``, as it is before any training, and its optimiser."""
        self.number = number
        network = self._from_pool(number) if self.match.config.start == "pool" else None
        self.network = network or self._fresh(number)
        self.optimiser = optimiser_of(self.network, self.match.config.train)

    def _fresh(self, number: int) -> nn.Module:
        data, config = self.match.data, self.match.config
        generator = stream(self.match.seed, "gradient", "network", number)
        network = build_network(
            config.network, classes=data.classes, image=data.shape, generator=generator
        )
        return network.to(data.device)

    def _from_pool(self, number: int) -> nn.Module:
        pool, config = self.match.pool, self.match.config
        assert pool is not None  # noqa: S101 - the compressor makes one for this start
        generator = stream(self.match.seed, "gradient", "pool", number)
        index = int(torch.randint(len(pool), (), generator=generator))
        part = float(torch.rand((), generator=generator)) if config.interpolate else 0.0
        return pool.copy_between(index, part)

    def _batches(self, inner: int) -> list[Tensor]:
        """Return the rows of the batches after inner step ``inner``, epochs going on across them.

        As many full batches as hold ``train_images``; what is left of an epoch is dropped.
        """
        config, labels = self.match.config, self.match.data.labels
        size = min(config.train.batch, len(labels))
        count, per_epoch = -(-config.train_images // size), len(labels) // size
        found = []
        for index in range(inner * count, (inner + 1) * count):
            epoch, place = divmod(index, per_epoch)
            order = self._epoch_order(epoch)
            found.append(order[place * size : (place + 1) * size])
        return found

    def _epoch_order(self, epoch: int) -> Tensor:
        key = (self.number, epoch)
        if self._order is None or self._order[0] != key:
            generator = stream(self.match.seed, "gradient", "order", *key)
            order = torch.randperm(len(self.match.data.labels), generator=generator)
            self._order = (key, order.to(self.match.data.device))
        return self._order[1]

    def _same_on_every_rank(self) -> None:
        # Ranks train alike, but sums may differ in their last digit from device to device.
        self.match.world.broadcast(self.network.state_dict().values())


@torch.no_grad()
def perturb(network: nn.Module, most: float, generator: torch.Generator) -> None:
    """Move a network's weights along two random directions (Acc-DD, section 3.2).

    Each filter of a direction is scaled to the norm of the weights' own; biases and norms stay.
    The steps are drawn from ``most / 9`` to ``most``, either way.

    Args:
        network: Changed in place.
        most: Largest step, as a part of a filter's norm.
        generator: CPU generator.
    """
    for _ in range(2):
        size, sign = torch.rand(2, generator=generator).tolist()
        step = most * (_LEAST + (1 - _LEAST) * size) * (1 if sign < 0.5 else -1)
        for weight in network.parameters():
            if weight.dim() < 2:
                continue
            direction = torch.randn(weight.shape, generator=generator).to(weight)
            norms = weight.flatten(1).norm(dim=1) / direction.flatten(1).norm(dim=1)
            weight.add_(direction * norms.view(-1, *[1] * (weight.dim() - 1)), alpha=step)
