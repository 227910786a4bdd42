"""IDM's queue of networks: trained on real images, a little after each step, the oldest replaced.

A new network enters every few steps, and the oldest leaves once the queue is full. Each step
matches through one of them, and then trains two others or the same for a few steps. The queue holds
networks of every age between untrained and well trained. Its state is part of the checkpoint.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.matching.calibrated import trust
from hmnpack.matching.objective import Match
from hmnpack.matching.pool import feature_network
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.idm import IdmConfig

FIRST = 3
"""Networks in the queue before the first step."""

TRAINED = 2
"""Networks that are trained after each step."""


@dataclass
class Member:
    """A network of the queue.

    Attributes:
        network: The network, on the device.
        optimiser: SGD of its training.
        correct: Images that it classified correctly in training since the counts were reset: a
            scalar on the device.
        seen: Images in that training; 0: its cross-entropy is not used.
    """

    network: FeatureNetwork
    optimiser: torch.optim.SGD
    correct: Tensor
    seen: int = 0


class NetworkQueue:
    """Networks of all ages, for the steps of IDM.

    Args:
        match: Data, settings.
    """

    def __init__(self, match: Match[IdmConfig]) -> None:
        self.match = match
        self.members: list[Member] = []

    def before(self, step: int) -> Member:
        """Bring the queue to a step, and return the network that the step matches through.

        Args:
            step: Index of the step; the previous call was for the step before, if any.
        """
        config = self.match.config
        if step == 0:
            self.members = [self._new(number) for number in range(FIRST)]
        else:
            self._train(step - 1)
        if step and step % config.count_steps == 0:
            for member in self.members:
                member.correct, member.seen = torch.zeros_like(member.correct), 0
        if step % config.push_every == 0:
            self.members.append(self._new(FIRST + step // config.push_every))
            self.members = self.members[-config.queue :]
        generator = stream(self.match.seed, "rival", "network of step", step)
        return self.members[int(torch.randint(len(self.members), (), generator=generator))]

    def factor_of(self, member: Member) -> Tensor | None:
        """Return the weight of a network's cross-entropy; see :func:`trust`."""
        return trust(self.match.config.ce_weight, member.correct, member.seen)

    def state(self) -> dict[str, Any]:
        """Return weights, momentum and counts of every network."""
        return {
            "members": [
                {
                    "network": member.network.state_dict(),
                    "optimiser": member.optimiser.state_dict(),
                    "correct": member.correct,
                    "seen": member.seen,
                }
                for member in self.members
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.members = []
        for saved in state["members"]:
            member = self._new(0)  # its weights are replaced
            member.network.load_state_dict(saved["network"])
            member.optimiser.load_state_dict(saved["optimiser"])
            member.correct.copy_(saved["correct"])
            member.seen = saved["seen"]
            self.members.append(member)

    def _new(self, number: int) -> Member:
        data, config = self.match.data, self.match.config
        generator = stream(self.match.seed, "rival", "network", number)
        network = build_network(
            config.network, classes=data.classes, image=data.shape, generator=generator
        )
        network = network.to(data.device).eval()
        optimiser = torch.optim.SGD(
            network.parameters(),
            config.network_lr,
            config.network_momentum,
            weight_decay=config.network_decay,
        )
        correct = torch.zeros((), dtype=torch.int64, device=data.device)
        return Member(feature_network(network, config.network, "rival"), optimiser, correct)

    def _train(self, step: int) -> None:
        """Train some networks after a step, on real images without augmentation."""
        generator = stream(self.match.seed, "rival", "train", step)
        order = torch.randperm(len(self.members), generator=generator)[:TRAINED]
        for place in order.tolist():
            member = self.members[place]
            own = stream(self.match.seed, "rival", "train network", step, place)
            with seeded_layers(member.network, own, self.match.data.device):
                self._train_member(member, generator)

    def _train_member(self, member: Member, generator: torch.Generator) -> None:
        config, data = self.match.config, self.match.data
        count, size = len(data.labels), min(config.train_batch, len(data.labels))
        member.network.train()
        for _ in range(config.train_steps):
            rows = to_device(torch.randperm(count, generator=generator)[:size], data.device)
            labels = data.labels[rows]
            logits = _step(member.network, member.optimiser, data.normalised(rows), labels)
            member.correct = member.correct + (logits.argmax(1) == labels).sum()
        member.network.eval()
        member.seen += config.train_steps * size


def _step(network: nn.Module, optimiser: torch.optim.SGD, images: Tensor, labels: Tensor) -> Tensor:
    """Do one step of a network's training; return its logits [n, K]."""
    logits: Tensor = network(images)
    F.cross_entropy(logits, labels).backward()
    optimiser.step()
    optimiser.zero_grad()  # the queue holds many networks, and none needs its gradients later
    return logits.detach()
