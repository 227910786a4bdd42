"""What the rows of an accuracy table share, and the images that a network is trained on.

Shape legend: N images, K classes, C channels, H height, W width.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hmnpack.runtime.kept import Store, digest_of
from hmnpack.runtime.progress import Listener
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import Images


@dataclass(frozen=True)
class TrainingSet:
    """The images that one network is trained or tested on.

    Attributes:
        images: float32 in [0, 1], or uint8; [N, C, H, W]; perhaps read when they are indexed.
        labels: int64 [N].
        bytes: Size of the images in their stored form.
        identity: Identifies the images in place of a hash of their values. Used for decoded images,
            whose last digits differ between machines, and for splits, which have a fingerprint.
            Empty: the values are hashed.
    """

    images: Images
    labels: Tensor
    bytes: int
    identity: str = ""

    @cached_property
    def digest(self) -> str:
        """Identifies the images and labels."""
        return digest_of(self.identity or self.images, self.labels)


@dataclass(frozen=True)
class Bench:
    """What the rows of a table have in common.

    Attributes:
        config: Network, training protocol, number of networks and seed.
        normalisation: Applied to all images before they enter a network.
        classes: Number of classes K.
        image: Shape of every image.
        test: The test images, on the device.
        device: Device to train on.
        listener: Called after every epoch; each row is a stage.
        at_once: Number of networks trained as one batch, 1 or more.
        store: Caches accuracies and training checkpoints; None: nothing is cached.
    """

    config: EvaluateConfig
    normalisation: Normalisation
    classes: int
    image: ImageShape
    test: TrainingSet
    device: torch.device
    listener: Listener
    at_once: int = 1
    store: Store | None = None
