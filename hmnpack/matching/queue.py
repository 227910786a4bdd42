"""A queue of networks to match through, which learn from real images while they are used (IDM).

The pool's networks are trained before, and matched through at any stage of their training by
mixing two sets of weights. Here new, untrained networks come in as the steps go on, some of those
that are there train a little after each step, and the oldest go: at any time there are networks
of every age, and none stays as it was.
"""

from typing import Any

import torch

from hmnpack.errors import BadSettings
from hmnpack.matching.objective import Match
from hmnpack.matching.pool import Pool, untrained, weights_of
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime import sent, stream
from hmnpack.schema.config import MatchConfig
from hmnpack.training import optimiser_of, sgd_step


class Queue(Pool):
    """Networks as a pool has them; those that it calls trained are as they are now.

    Args:
        match: Data, settings, seed, ranks.

    Raises:
        BadSettings: see :func:`refuse_queue`; or if the network gives no features.
    """

    def __init__(self, match: Match[MatchConfig]) -> None:
        refuse_queue(match.config)
        self.match = match
        self.settings = match.config.queue
        self.numbers = list(range(min(self.settings.first, self.settings.size)))
        """Of the networks that are there, the oldest first; each has one of its own."""
        networks = [self._untrained(number) for number in self.numbers]
        initial = [weights_of(network) for network in networks]
        super().__init__(networks, initial, self.settings.network)

    def renew(self, step: int) -> None:
        """Before a step, where it is time to, let a network in and the oldest of too many go."""
        if step == 0 or step % self.settings.every:
            return
        self._push(self.numbers[-1] + 1)
        if len(self.numbers) > self.settings.size:
            del self.numbers[0], self._trained[0], self._initial[0]

    def advance(self, step: int) -> None:
        """Train some of the networks after a step, each on real images drawn at random."""
        generator = stream(self.match.seed, "queue", "train", step)
        chosen = torch.randperm(len(self), generator=generator)[: self.settings.trained]
        for index in chosen.tolist():
            self._train(self.trained(index), generator)

    def state(self) -> dict[str, Any]:
        """Return which networks are there, and their weights."""
        weights = [weights_of(network) for network in self._trained]
        return {"numbers": list(self.numbers), "weights": weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        del self.numbers[:], self._trained[:], self._initial[:]
        for number, weights in zip(state["numbers"], state["weights"], strict=True):
            self._push(number)
            self._trained[-1].load_state_dict(weights)

    def _push(self, number: int) -> None:
        network = self._untrained(number)
        self.numbers.append(number)
        self._initial.append(weights_of(network))
        self._trained.append(network.requires_grad_(False).eval())

    def _untrained(self, number: int) -> FeatureNetwork:
        generator = stream(self.match.seed, "queue", "network", number)
        return untrained(
            self.match.data, self.settings.network, generator, "match.queue.network.name"
        )

    def _train(self, network: FeatureNetwork, generator: torch.Generator) -> None:
        config, data = self.settings.train, self.match.data
        network.requires_grad_(True).train()
        optimiser = optimiser_of(network, config)
        for _ in range(self.settings.steps):
            rows = torch.randint(len(data.labels), (config.batch,), generator=generator)
            rows = sent(rows, data.device)
            batch, target = data.normalised(rows), data.labels[rows]
            sgd_step(network, optimiser, batch, target, config, generator)
        network.requires_grad_(False).eval()
        # Ranks train alike, but sums may differ in their last digit from device to device.
        self.match.world.broadcast(network.state_dict().values())


def refuse_queue(config: MatchConfig) -> None:
    """Check, before any work, that what is kept of networks is not of networks that change.

    Raises:
        BadSettings: if it is.
    """
    if config.queue.size and config.views:
        raise BadSettings(
            f"match.views={config.views} keeps what networks make of real images, but those of a "
            "queue change with every step; set match.views=0 or match.queue.size=0"
        )
