"""IDM: class means through a queue of trained networks, with a calibrated cross-entropy.

Zhao et al., Improved Distribution Matching for Dataset Condensation, CVPR 2023. Its partition of an
image into enlarged quarters is the container `multi-formation`.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.matching.calibrated import calibrated_loss
from hmnpack.matching.chunks import loss_by_class
from hmnpack.matching.network_queue import Member, NetworkQueue
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.siamese import ClassBatches
from hmnpack.matching.synthetic import chosen_images
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.idm import IdmConfig


class CalibratedMatching(Objective):
    """The objective of the method ``idm``; see :func:`calibrated_loss`.

    The authors step after each class. Here one step covers all classes: a gradient moves the images
    equally far in total, since momentum carries it on.

    Args:
        match: Data, settings.
    """

    is_shared = False

    def __init__(self, match: Match[IdmConfig]) -> None:
        config = match.config
        self.match = match
        self.queue: NetworkQueue = NetworkQueue(match)
        self.batches: ClassBatches = ClassBatches(
            match.data, config.augment, config.real_batch, match.seed
        )

    def loss(self, container: Container, step: int) -> Tensor:
        """Train networks of the queue, then return the loss of all classes; see ``Objective``."""
        config, data = self.match.config, self.match.data
        member = self.queue.before(step)
        images = chosen_images(container, config.synthetic_batch, self.match.seed, step)
        own = stream(self.match.seed, "rival", "network's own", step)
        with seeded_layers(member.network, own, data.device):
            return loss_by_class(images, data.classes, partial(self._of_class, member, step))

    def state(self) -> dict[str, Any]:
        """Return the queue's state."""
        return self.queue.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.queue.restore(state)

    def _of_class(self, member: Member, step: int, images: Tensor, label: int) -> Tensor:
        """Return the loss of one class, of its synthetic images [m, C, H, W]."""
        network = member.network
        with torch.no_grad():
            real = network.features(self.batches.real_images(label, step, images.dtype))[-1]
        ours = self.batches.prepared(images, self.batches.draws(label, step))
        last = network.features(ours)[-1]
        return calibrated_loss(
            real.flatten(1).mean(0, keepdim=True),
            last.flatten(1)[None],
            network.classified(last)[None],
            torch.full((1,), label, device=images.device),
            self.queue.factor_of(member),
        )
