"""What the rows of an accuracy table have in common, and the images that a network is trained on.

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


@dataclass(frozen=True)
class TrainingSet:
    """Images of one network.

    Attributes:
        images: float32 in [0, 1], or uint8; [N, C, H, W].
        labels: int64 [N].
        bytes: What the images take in the form that they are counted in.
        identity: Names the images in place of a hash of their values: for decoded ones, whose last
            digits differ from machine to machine, and for a split that has a fingerprint. Empty:
            the values are hashed.
    """

    images: Tensor
    labels: Tensor
    bytes: int
    identity: str = ""

    @cached_property
    def digest(self) -> str:
        """Names images and labels."""
        return digest_of(self.identity or self.images, self.labels)


@dataclass(frozen=True)
class Bench:
    """What the rows of a table have in common.

    Attributes:
        config: Network, protocol, repeats, seed.
        normalisation: Of all images, as networks expect them.
        classes: Number of classes K.
        image: Shape of every image.
        test: The images to test on, on the device.
        device: Where to train.
        listener: Called after every epoch; a stage is a row.
        at_once: Networks that are trained at a time, 1 or more.
        store: Caches accuracies, and the states of unfinished trainings; None: nothing is cached.
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
