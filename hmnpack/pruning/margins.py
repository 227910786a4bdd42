"""How hard each image is to learn: the area under its margin (paper equations 3 and 4).

As the author of the paper computes it: margins of probabilities, taken in training mode on the
batch as it is augmented, before the step that follows from it, and added up over all epochs of one
training. The sum is T times the mean of equation 4, and has the same order.

Shape legend: N images, K classes, C channels, H height, W width, n images of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnpack.errors import BadSettings
from hmnpack.networks import build_network
from hmnpack.pruning.trainings import Trainings
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, PruneConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import train_together


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images on one device, with what a network needs to know of them.

    Attributes:
        pixels: float32 in [0, 1], or uint8; [N, C, H, W].
        labels: int64 [N].
        classes: Number of classes K.
        normalisation: As networks expect the images.
    """

    pixels: Tensor
    labels: Tensor
    classes: int
    normalisation: Normalisation

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> ImageShape:
        """Shape of every image."""
        _, channels, height, width = self.pixels.shape
        return ImageShape(channels=channels, height=height, width=width)

    def network(self, config: NetworkConfig, generator: torch.Generator) -> nn.Module:
        """Return a new network for the images, on their device."""
        network = build_network(config, classes=self.classes, image=self.shape, generator=generator)
        return network.to(self.pixels.device)

    def subset(self, rows: Tensor) -> "LabelledImages":
        """Return some of the images, in the order of the rows: int64 [n]."""
        rows = rows.to(self.labels.device)
        return LabelledImages(
            self.pixels[rows], self.labels[rows], self.classes, self.normalisation
        )


def margin_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of each image's class less the greatest of another (equation 3).

    Args:
        logits: float32 [n, K], of 2 classes or more.
        labels: int64 [n].

    Returns:
        float32 [n], from -1 to 1.
    """
    probabilities = F.softmax(logits, 1)
    own = probabilities.gather(1, labels[:, None])
    others = probabilities.scatter(1, labels[:, None], -1)
    return own[:, 0] - others.amax(1)


def margins_of(
    images: LabelledImages, config: PruneConfig, seed: int, trainings: Trainings
) -> Tensor:
    """Return the area under the margin of every image, averaged over several trainings.

    Args:
        images: The images, of 2 classes or more.
        config: ``seeds`` trainings of ``network``, by ``margins``.
        seed: Seed of the run.
        trainings: How they are run, and how many at once. Their names are ``margins/<i>``.

    Returns:
        float32 [N] on the CPU, from -T to T for T epochs; low ones are hard to learn.

    Raises:
        BadSettings: if there is one class, of which no image is hard.
        Diverged: if a loss is infinite or not a number.
    """
    if images.classes < 2:
        raise BadSettings("images of one class have no margins; prune by random or none")

    def train_some(names: Sequence[str], listener: Listener) -> Tensor:
        return areas_under_margins(images, config, seed, names, listener)

    names = [f"margins/{index}" for index in range(config.seeds)]
    like = images.pixels.new_empty(len(images)).float()
    found = trainings.run("margins", names, train_some, like, images.pixels.device)
    return torch.stack([found[name] for name in names]).mean(0)


def areas_under_margins(
    images: LabelledImages,
    config: PruneConfig,
    seed: int,
    names: Sequence[str],
    listener: Listener,
) -> Tensor:
    """Train networks at once and return of each the sum of every image's margins over its epochs.

    Args:
        images: The images.
        config: ``network``, trained by ``margins``.
        seed: Seed of the run.
        names: Of the trainings' random streams.
        listener: Hears of every epoch.

    Returns:
        float32 [number of networks, N], on the images' device.
    """
    networks = [images.network(config.network, stream(seed, name, "network")) for name in names]
    areas = torch.zeros(len(names), len(images), device=images.pixels.device)

    def add(which: slice, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        margins = margin_of(logits.flatten(0, 1), labels.flatten())
        areas[which].scatter_add_(1, rows, margins.view(rows.shape))

    train_together(
        networks,
        [(images.pixels, images.labels)] * len(names),
        config.margins,
        normalisation=images.normalisation,
        seed=seed,
        names=names,
        on_batch=add,
        listener=listener,
    )
    return areas
