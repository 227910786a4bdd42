"""CAFE: class means of every layer, and classes kept apart (Wang et al., CVPR 2022).

The network is new for every outer iteration, and between steps it is trained on the synthetic
images. The authors leave both loops by how much accuracies vary. Their code adds a tenth of the
figure before to each, so that in effect it takes about 11 steps on the images per network, and
about 10 epochs between two of them. Here those two numbers are settings.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.matching.chunks import loss_by_class
from hmnpack.matching.layerwise import discrimination, layer_distance
from hmnpack.matching.objective import Match
from hmnpack.matching.on_synthetic import OnSynthetic
from hmnpack.matching.synthetic import chosen_images
from hmnpack.networks import ConvNet
from hmnpack.runtime.devices import to_device
from hmnpack.schema.cafe import CafeConfig


@dataclass(frozen=True)
class _Step:
    """What all classes of a step share.

    Attributes:
        number: Index of the step.
        network: The network.
        real: Class means of the real images' features, each [1, D], by layer and by class.
        apart: Value of the discrimination term.
        pull: Its gradient with respect to the synthetic class means of the last features, [K, D].
    """

    number: int
    network: ConvNet
    real: list[list[Tensor]]
    apart: Tensor
    pull: Tensor


class LayerwiseMatching(OnSynthetic):
    """The objective of the method ``cafe``; see :mod:`hmnpack.matching.layerwise`.

    Args:
        match: Data, settings.

    Raises:
        BadSettings: if the network is not a ConvNet.
    """

    match: Match[CafeConfig]

    def __init__(self, match: Match[CafeConfig]) -> None:
        if match.config.network.name != "convnet":
            raise BadSettings(
                f"cafe matches the maps before each pooling of a ConvNet, which "
                f"{match.config.network.name} has not; use rival.network.name=convnet"
            )
        super().__init__(match)

    def loss(self, container: Container, step: int) -> Tensor:
        """Create or train the network, then return the loss of all classes; see ``Objective``.

        The discrimination term couples the classes through their means. So a first pass without a
        graph computes these, and its gradient with respect to them; the second goes class by class.
        """
        classes = self.match.data.classes
        self.advance(container, step)
        network = self.network
        assert isinstance(network, ConvNet)  # noqa: S101 - checked above
        images = chosen_images(container, self.match.config.synthetic_batch, self.match.seed, step)
        network.to(images.dtype)
        shared = self._shared(network, images, step)
        return loss_by_class(images, classes, partial(self._of_class, shared))

    def _of_class(self, shared: _Step, images: Tensor, label: int) -> Tensor:
        """Return the loss of one class, of its synthetic images [m, C, H, W]."""
        means = _means(self._maps(shared.network, images, label, shared.number))
        along = (means[-1] * shared.pull[label]).sum()
        apart = shared.apart / len(shared.pull) + along - along.detach()
        return layer_distance(shared.real[label], means) + apart

    @torch.no_grad()
    def _shared(self, network: ConvNet, images: Tensor, step: int) -> _Step:
        """Return the real side of a step, and the discrimination term with its gradient."""
        real, features, centres = [], [], []
        for label, own in enumerate(images.detach().chunk(self.match.data.classes)):
            theirs = self.batches.real_images(label, step, images.dtype)
            layers = [each.flatten(1) for each in network.maps(theirs)]
            real.append([each.mean(0, keepdim=True) for each in layers])
            features.append(layers[-1])
            centres.append(_means(self._maps(network, own, label, step))[-1])
        counts = torch.tensor([len(each) for each in features])
        labels = torch.arange(len(features)).repeat_interleave(counts)
        with torch.enable_grad():
            means = torch.cat(centres).requires_grad_()
            apart = discrimination(torch.cat(features), to_device(labels, images.device), means)
            (pull,) = torch.autograd.grad(apart, means)
        return _Step(step, network, real, apart.detach(), pull)

    def _maps(self, network: ConvNet, images: Tensor, label: int, step: int) -> list[Tensor]:
        """Return the layers of a class's synthetic images, prepared as its real ones."""
        return network.maps(self.batches.prepared(images, self.batches.draws(label, step)))


def _means(maps: list[Tensor]) -> list[Tensor]:
    """Return the mean over the images of every layer, each [1, D]."""
    return [each.flatten(1).mean(0, keepdim=True) for each in maps]
