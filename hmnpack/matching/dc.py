"""DC and DSA: gradient matching by cosine (Zhao et al., ICLR 2021; Zhao and Bilen, ICML 2021).

The gradients of the cross-entropy on real and on synthetic images of a class are compared row by
row. The network is new for every outer iteration, and between steps it is trained on the synthetic
images. DSA applies the same augmentation to both sides, and augments that training.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.matching.chunks import loss_by_class
from hmnpack.matching.objective import Match
from hmnpack.matching.on_synthetic import OnSynthetic
from hmnpack.matching.row_cosine import row_cosine
from hmnpack.matching.synthetic import chosen_images
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.seeds import stream
from hmnpack.schema.dc import DcConfig


class RowCosineMatching(OnSynthetic):
    """The objective of the method ``dc``.

    Args:
        match: Data, settings.
    """

    match: Match[DcConfig]

    def loss(self, container: Container, step: int) -> Tensor:
        """Create or train the network, then return the loss of all classes; see ``Objective``."""
        config, classes = self.match.config, self.match.data.classes
        self.advance(container, step)
        images = chosen_images(container, config.synthetic_batch, self.match.seed, step)
        self.network.to(images.dtype)
        own = stream(self.match.seed, "rival", "network's own", step)
        with seeded_layers(self.network, own, images.device):
            return loss_by_class(images, classes, partial(self._of_class, step))

    def _of_class(self, step: int, images: Tensor, label: int) -> Tensor:
        """Return the loss of one class, of its synthetic images [m, C, H, W]."""
        real = self.batches.real_images(label, step, images.dtype)
        theirs = class_gradients(self.network, real, label)
        ours = self.batches.prepared(images, self.batches.draws(label, step))
        return row_cosine(theirs, class_gradients(self.network, ours, label, keep=True))


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
