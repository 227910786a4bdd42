"""How hard each image is to learn: the area under its margin (paper equations 3 and 4).

As in the paper's code, margins are differences of probabilities. They are computed in training mode
on the augmented batch, before the optimiser step on it, and summed over all epochs of one training.
The sum is T times the mean of equation 4 for T epochs, so the ranking is the same.

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
from hmnpack.sources.lazy import Images
from hmnpack.training import train_together


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images on one device, with the properties that a network for them needs.

    Attributes:
        pixels: float32 in [0, 1], or uint8; [N, C, H, W]; perhaps read when they are
            indexed.
        labels: int64 [N].
        classes: Number of classes K.
        normalisation: Applied to the images before they enter a network.
    """

    pixels: Images
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
        """Return an untrained network for the images, on their device."""
        network = build_network(config, classes=self.classes, image=self.shape, generator=generator)
        return network.to(self.pixels.device)

    def subset(self, rows: Tensor) -> "LabelledImages":
        """Return the images at the given rows, int64 [n], in that order."""
        rows = rows.to(self.labels.device)
        return LabelledImages(
            self.pixels[rows], self.labels[rows], self.classes, self.normalisation
        )


def margin_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the margins: probability of the true class minus the highest other (equation 3).

    Args:
        logits: float32 [n, K]; K is at least 2.
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
        images: The images, of at least 2 classes.
        config: Trains ``seeds`` networks of type ``network`` with the settings ``margins``.
        seed: Seed of the run.
        trainings: Runs and caches the trainings, under the names ``margins/<i>``.

    Returns:
        float32 [N] on the CPU, from -T to T for T epochs; low values are hard to learn.

    Raises:
        BadSettings: if there is only one class, for which margins are undefined.
        Diverged: if a loss is infinite or NaN.
    """
    if images.classes < 2:
        raise BadSettings("margins need 2 classes or more, got 1; use strategy random or none")

    def train_some(names: Sequence[str], listener: Listener) -> Tensor:
        return areas_under_margins(images, config, seed, names, listener)

    names = [f"margins/{index}" for index in range(config.seeds)]
    like = torch.empty(len(images), device=images.pixels.device)
    found = trainings.run("margins", names, train_some, like, images.pixels.device)
    return torch.stack([found[name] for name in names]).mean(0)


def areas_under_margins(
    images: LabelledImages,
    config: PruneConfig,
    seed: int,
    names: Sequence[str],
    listener: Listener,
) -> Tensor:
    """Train networks as one batch; return the sum of every image's margins over all epochs.

    Args:
        images: The images.
        config: Trains networks of type ``network`` with the settings ``margins``.
        seed: Seed of the run.
        names: One per training; they name its random streams.
        listener: Called after every epoch.

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
