"""Networks trained on the synthetic images between two steps on these: those of DC and CAFE."""

from typing import Any

import torch
from torch import nn

from hmnpack.augment import normalise
from hmnpack.container import Container
from hmnpack.matching.objective import Match
from hmnpack.matching.synthetic import train_epoch
from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.on_synthetic import OnSyntheticConfig


class SyntheticLearner:
    """Creates and trains these networks, one after another.

    Args:
        match: Data, settings.
    """

    def __init__(self, match: Match[Any]) -> None:
        self.match = match
        self.config: OnSyntheticConfig = match.config
        self.network: nn.Module = nn.Identity()

    def at(self, container: Container, step: int) -> nn.Module:
        """Return the network of a step, after creating it or training it on.

        Args:
            container: Decodes the images that the network is trained on, as they are by then.
            step: Index of the step; the previous call was for the step before, if any.
        """
        number, inner = divmod(step, self.config.image_steps)
        if inner == 0:
            self.network = self._new(number)
        else:
            self._train(container, step)
        return self.network

    def state(self) -> dict[str, Any]:
        """Return the network's weights."""
        return {"network": self.network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.network = self._new(0)
        self.network.load_state_dict(state["network"])

    def _train(self, container: Container, step: int) -> None:
        config, data = self.config, self.match.data
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

    def _new(self, number: int) -> nn.Module:
        data = self.match.data
        return build_network(
            self.config.network,
            classes=data.classes,
            image=data.shape,
            generator=stream(self.match.seed, "rival", "network", number),
        ).to(data.device)
