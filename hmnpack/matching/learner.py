"""The networks of gradient matching, each trained on real images while it is in use.

A network is used for ``inner_steps`` steps, then replaced by a new, untrained one. Its state is
part of the checkpoint, so that a paused run resumes with the partly trained network.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hmnpack.matching.objective import Match
from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import GradientConfig
from hmnpack.training import train
from hmnpack.training.loop import TrainState, optimiser_of, sgd_step


class Learner:
    """Creates and trains the networks of gradient matching, one after another.

    Args:
        match: Data, settings.
    """

    def __init__(self, match: Match[GradientConfig]) -> None:
        self.match = match
        self.number: int = -1
        self.network: nn.Module = nn.Identity()
        self.optimiser: torch.optim.SGD | None = None
        self._training: TrainState | None = None
        self._order: tuple[tuple[int, int], Tensor] | None = None

    def begin(self, number: int) -> None:
        """Create network ``number`` and train it for the epochs that precede its first step.

        An interrupted training is resumed.
        """
        self._create(number)
        config = self.match.config
        if config.train.epochs:
            train(
                self.network,
                self.match.data.images,
                self.match.data.labels,
                config.train,
                normalisation=self.match.data.normalisation,
                seed=self.match.seed,
                name=f"gradient network {number + 1}",
                resume=self._training,
                on_epoch=self._after_epoch,
            )
            self._training = None
        self._synchronise_ranks()

    def _after_epoch(self, state: TrainState) -> None:
        self._training = state
        self.match.check()

    def advance(self, step: int) -> None:
        """Train the network after a step, on the next ``train_images`` real images."""
        config, data = self.match.config, self.match.data
        if not config.train_images:
            return
        assert self.optimiser is not None  # noqa: S101 - set by begin
        self.network.train()
        generator = stream(self.match.seed, "gradient", "train", step)
        own = stream(self.match.seed, "gradient", "train network", step)
        with seeded_layers(self.network, own, data.device):
            for rows in self._batches(step % config.inner_steps):
                batch, target = data.normalised(rows), data.labels[rows]
                sgd_step(self.network, self.optimiser, batch, target, config.train, generator)
        self._synchronise_ranks()

    def state(self) -> dict[str, Any]:
        """Return the network's number, its weights, and the states of optimiser and training."""
        assert self.optimiser is not None  # noqa: S101 - called only after a step
        return {
            "number": self.number,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "training": self._training and dict(vars(self._training)),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self._create(state["number"])
        assert self.optimiser is not None  # noqa: S101 - set by _create
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        training = state.get("training")
        self._training = None if training is None else TrainState(**training)

    def _create(self, number: int) -> None:
        """Create network ``number``, untrained, and its optimiser."""
        data, config = self.match.data, self.match.config
        generator = stream(self.match.seed, "gradient", "network", number)
        network = build_network(
            config.network, classes=data.classes, image=data.shape, generator=generator
        )
        self.number = number
        self.network = network.to(data.device)
        self.optimiser = optimiser_of(self.network, config.train)

    def _batches(self, inner: int) -> list[Tensor]:
        """Return the indices of the batches after inner step ``inner``; epochs span several steps.

        There are enough full batches for ``train_images`` images. The incomplete last batch of an
        epoch is dropped.
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

    def _synchronise_ranks(self) -> None:
        # All ranks run the same training, but sums may differ between devices in the last digit.
        self.match.world.broadcast(self.network.state_dict().values())
