"""DM: distribution matching through random networks (Zhao and Bilen, WACV 2023, equation 4).

At each step a new, untrained network maps both sides to features, the flattened outputs of its last
block. The loss is the squared distance between the class means, summed over classes and features.
"""

from functools import partial

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.matching.chunks import loss_by_class
from hmnpack.matching.means import MeanDistance
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.pool import feature_network
from hmnpack.matching.siamese import ClassBatches
from hmnpack.matching.synthetic import chosen_images
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.dm import DmConfig


class RandomFeatureMatching(Objective):
    """The objective of the method ``dm``.

    Args:
        match: Data, settings.
    """

    is_shared = False

    def __init__(self, match: Match[DmConfig]) -> None:
        config = match.config
        self.match = match
        self.batches: ClassBatches = ClassBatches(
            match.data, config.augment, config.real_batch, match.seed
        )

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of all classes, one at a time; see ``Objective``."""
        config, classes = self.match.config, self.match.data.classes
        images = chosen_images(container, config.synthetic_batch, self.match.seed, step)
        network = self._network(step).to(images.dtype)
        return loss_by_class(images, classes, partial(self._of_class, network, step))

    def _of_class(self, network: FeatureNetwork, step: int, images: Tensor, label: int) -> Tensor:
        """Return the loss of one class, of its synthetic images [m, C, H, W]."""
        with torch.no_grad():
            real = _features(network, self.batches.real_images(label, step, images.dtype))
        ours = self.batches.prepared(images, self.batches.draws(label, step))
        return MeanDistance()(real[None], _features(network, ours)[None])

    def _network(self, step: int) -> FeatureNetwork:
        """Return the step's network, with weights that are not optimised."""
        data, config = self.match.data, self.match.config.network
        generator = stream(self.match.seed, "rival", "network", step)
        network = build_network(config, classes=data.classes, image=data.shape, generator=generator)
        return feature_network(network, config, "rival").requires_grad_(False).to(data.device)


def _features(network: FeatureNetwork, images: Tensor) -> Tensor:
    """Return the flattened outputs of the last block: [n, D]."""
    return network.features(images)[-1].flatten(1)
