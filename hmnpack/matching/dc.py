"""DC and DSA: gradient matching by cosine (Zhao et al., ICLR 2021; Zhao and Bilen, ICML 2021).

The gradients of the cross-entropy on real and on synthetic images of a class are compared row by
row. The network is new for every outer iteration, and between steps it is trained on the synthetic
images. DSA applies the same augmentation to both sides, and augments that training.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.augment import normalise
from hmnpack.container import Container
from hmnpack.matching.chunks import loss_by_class
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.row_cosine import row_cosine
from hmnpack.matching.siamese import ClassBatches
from hmnpack.matching.synthetic import chosen_images, train_epoch
from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.dc import DcConfig


class RowCosineMatching(Objective):
    """The objective of the method ``dc``.

    Args:
        match: Data, settings.
    """

    is_shared = False

    def __init__(self, match: Match[DcConfig]) -> None:
        config = match.config
        self.match = match
        self.batches: ClassBatches = ClassBatches(
            match.data, config.augment, config.real_batch, match.seed
        )
        self.network: nn.Module = nn.Identity()

    def loss(self, container: Container, step: int) -> Tensor:
        """Create or train the network, then return the loss of all classes; see ``Objective``."""
        config, classes = self.match.config, self.match.data.classes
        number, inner = divmod(step, config.image_steps)
        if inner == 0:
            self.network = self._network(number)
        else:
            self._train(container, step)
        images = chosen_images(container, config.synthetic_batch, self.match.seed, step)
        self.network.to(images.dtype)
        own = stream(self.match.seed, "rival", "network's own", step)
        with seeded_layers(self.network, own, images.device):
            return loss_by_class(images, classes, partial(self._of_class, step))

    def state(self) -> dict[str, Any]:
        """Return the network's weights."""
        return {"network": self.network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.network = self._network(0)
        self.network.load_state_dict(state["network"])

    def _of_class(self, step: int, images: Tensor, label: int) -> Tensor:
        """Return the loss of one class, of its synthetic images [m, C, H, W]."""
        real = self.batches.real_images(label, step, images.dtype)
        theirs = class_gradients(self.network, real, label)
        ours = self.batches.prepared(images, self.batches.draws(label, step))
        return row_cosine(theirs, class_gradients(self.network, ours, label, keep=True))

    def _train(self, container: Container, step: int) -> None:
        """Train the network on all synthetic images, as they are before the step."""
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


def class_gradients(
    network: nn.Module, images: Tensor, label: int, *, keep: bool = False
) -> list[Tensor]:
    """Return the gradient of the mean cross-entropy of one class, for each parameter.

    Args:
        network: The network.
        images: Normalised images of the class, [n, C, H, W].
        label: The class.
        keep: Whether the gradients are to be differentiated by the images.
    """
    labels = torch.full((len(images),), label, device=images.device)
    loss = F.cross_entropy(network(images), labels)
    return list(torch.autograd.grad(loss, list(network.parameters()), create_graph=keep))
