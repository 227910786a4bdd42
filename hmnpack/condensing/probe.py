"""How well a quick network learns from the images that a container decodes while it is learned.

A probe sees held-out real images of the training split, never the test split. It draws from
streams of its own and changes nothing: a run with probes ends with the bytes of one without.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.errors import BadSettings, Diverged, is_out_of_memory
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import COLOUR_CROP, NetworkConfig, TrainConfig
from hmnpack.schema.container import ContainerSpec, ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import accuracy, train

_ELEMENTS = 2**28
"""Numbers that are decoded for a probe at most (1 GiB)."""


@dataclass(frozen=True)
class ProbeConfig:
    """How a quick network is trained and tested.

    Attributes:
        width: Channels of the ConvNet's layers; its blocks halve the images to 4 pixels or so.
        steps: Fewest training steps; the last pass over the images is a whole one.
        batch: Images per step.
        lr: Learning rate at the start of the cosine.
        images: Decoded images that it is trained on, at most.
        held_out: Real images that it is tested on, at most.
    """

    width: int = 32
    steps: int = 300
    batch: int = 128
    lr: float = 0.01
    images: int = 8192
    held_out: int = 2000


_DEFAULT = ProbeConfig()


def quick_network(image: ImageShape, config: ProbeConfig = _DEFAULT) -> NetworkConfig:
    """Return the architecture of a quick network for images of a shape."""
    depth = max(1, min(image.height, image.width).bit_length() - 3)
    return NetworkConfig(width=config.width, depth=depth)


def quick_training(config: ProbeConfig = _DEFAULT) -> TrainConfig:
    """Return how a quick network is trained, but for its steps."""
    # A mirrored digit is another sign, and a quick network has no time for CutMix.
    return TrainConfig(epochs=0, batch=config.batch, lr=config.lr, augment=COLOUR_CROP, cutmix=0)


def quick_accuracy(
    images: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor],
    normalisation: Normalisation,
    seed: int,
    config: ProbeConfig = _DEFAULT,
) -> float:
    """Train a quick network on some images; return its accuracy on others, in percent.

    The same images give the same figure on the same kind of device: the network's start and the
    order of its batches depend on the seed alone.

    Args:
        images: To train on: uint8, or float32 in [0, 1]; [N, C, H, W], on the device to use.
        labels: int64 [N], each class at least once, on the same device.
        held_out: Images and labels to test on, likewise.
        normalisation: Of the images, as the network is to see them.
        seed: Seed of the run.
        config: The network and its training.

    Raises:
        Diverged: if a loss is infinite or not a number.
    """
    channels, height, width = images.shape[1:]
    image = ImageShape(channels=channels, height=height, width=width)
    network = build_network(
        quick_network(image, config),
        classes=int(labels.max()) + 1,
        image=image,
        generator=stream(seed, "probe", "network"),
    ).to(images.device)
    train(
        network,
        images,
        labels,
        quick_training(config),
        normalisation=normalisation,
        seed=seed,
        name="probe",
        min_steps=config.steps,
    )
    return accuracy(network, *held_out, normalisation=normalisation)


class Probe:
    """Quick networks over a run: when one is due, and what it finds.

    Args:
        images: Held-out real images: uint8 [N, C, H, W].
        labels: int64 [N].
        normalisation: Mean and standard deviation of the real images.
        seed: Seed of the run.
        count: Quick networks over the run, 1 or more.
        config: The network and its training.

    Raises:
        BadSettings: if there are no held-out images to test on.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        normalisation: Normalisation,
        seed: int,
        count: int,
        *,
        config: ProbeConfig = _DEFAULT,
    ) -> None:
        if not len(images):
            raise BadSettings(
                "probes test on held-out images, and of this data none are held out; give holdout "
                "a larger part, such as 0.1, or leave the probes out"
            )
        order = torch.randperm(len(images), generator=stream(seed, "probe", "held-out"))
        rows = order[: config.held_out].to(images.device)
        self._held_out = images[rows], labels[rows]
        self._normalisation = normalisation
        self._seed = seed
        self._count = count
        self._config = config

    def due(self, step: int, total: int) -> bool:
        """Return whether a probe is due after a step; the last step is followed by one.

        Args:
            step: Steps that are done, from 1, counted over all that ``total`` counts.
            total: Steps over which the probes are evenly spaced.
        """
        return step * self._count // total > (step - 1) * self._count // total

    def __call__(self, container: Container) -> float:
        """Return the accuracy in percent that the container's images lead to now.

        A training that diverges, or finds no memory, gives NaN: what is only watched does not end
        a run.
        """
        with torch.no_grad():
            every = container.labels()
            rows = _rows(container.spec, self._config.images, self._seed).to(every.device)
            images, labels = container.expand(rows), every[rows]
        held_out = self._held_out[0].to(images.device), self._held_out[1].to(images.device)
        try:
            return quick_accuracy(
                images, labels, held_out, self._normalisation, self._seed, self._config
            )
        except Diverged:
            return math.nan
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return math.nan


def _rows(spec: ContainerSpec, most: int, seed: int) -> Tensor:
    """Return so many images at most, the same of each class: int64, class by class."""
    each = torch.randperm(spec.each, generator=stream(seed, "probe", "images"))
    each = each[: _each(spec, most)]
    return (torch.tensor(spec.offsets)[:, None] + each).flatten()


def _each(spec: ContainerSpec, most: int) -> int:
    """Return the images of each class, where there are so many in all at most."""
    most = min(most, _ELEMENTS // spec.image.elements)
    return min(spec.each, max(1, most // spec.classes))
