"""Objectives whose network is trained on the synthetic images between steps: DC's and CAFE's."""

from typing import Any

import torch
from torch import nn

from hmnpack.augment import normalise
from hmnpack.container import Container
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.siamese import ClassBatches
from hmnpack.matching.synthetic import train_epoch
from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.on_synthetic import OnSyntheticConfig


class OnSynthetic(Objective):
    """Creates and trains one network after another, and holds the present one (base class).

    Args:
        match: Data, settings of a kind of :class:`OnSyntheticConfig`.
    """

    is_shared = False

    def __init__(self, match: Match[Any]) -> None:
        config: OnSyntheticConfig = match.config
        self.match = match
        self.batches: ClassBatches = ClassBatches(
            match.data, config.augment, config.real_batch, match.seed
        )
        self.network: nn.Module = nn.Identity()

    def state(self) -> dict[str, Any]:
        """Return the network's weights."""
        return {"network": self.network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.network = self._network(0)
        self.network.load_state_dict(state["network"])

    def advance(self, container: Container, step: int) -> None:
        """Create the network of a step, or train the one before on the images as they are.

        Args:
            container: Decodes the images.
            step: Index of the step; the previous call was for the step before, if any.
        """
        number, inner = divmod(step, self.match.config.image_steps)
        if inner == 0:
            self.network = self._network(number)
        else:
            self._train(container, step)

    def _train(self, container: Container, step: int) -> None:
        config, data = self.match.config, self.match.data
        with torch.no_grad():
            images = normalise(container.expand(), data.normalisation)
        optimiser = torch.optim.SGD(self.network.parameters(), config.network_lr)
        own = stream(self.match.seed, "rival", "train network", step)
        with seeded_layers(self.network, own, images.device):
            for epoch in range(config.epochs):
                train_epoch(
                    *(self.network, optimiser, images, container.labels()),
                    batch=config.batch,
                    augment=config.augment,
                    generator=stream(self.match.seed, "rival", "train", step, epoch),
                )

    def _network(self, number: int) -> nn.Module:
        data = self.match.data
        return build_network(
            self.match.config.network,
            classes=data.classes,
            image=data.shape,
            generator=stream(self.match.seed, "rival", "network", number),
        ).to(data.device)
