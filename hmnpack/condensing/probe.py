"""Probe networks: small networks trained on the current synthetic images during a run.

A probe is tested on held-out real images of the training split, never on the test split. It uses
its own random streams and modifies nothing: a run yields the same bytes with and without probes.

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
from hmnpack.sources.lazy import Images
from hmnpack.training import accuracy, train

_ELEMENTS = 2**28
"""Maximum number of floats decoded for a probe (1 GiB)."""


@dataclass(frozen=True)
class ProbeConfig:
    """How a probe network is trained and tested.

    Attributes:
        width: Channels of the ConvNet's layers; its blocks halve the images to about 4 pixels.
        steps: Minimum number of training steps; the last epoch is always completed.
        batch: Images per step.
        lr: Initial learning rate of the cosine schedule.
        images: Maximum number of decoded images to train on.
        held_out: Maximum number of held-out images to test on.
    """

    width: int = 32
    steps: int = 300
    batch: int = 128
    lr: float = 0.01
    images: int = 8192
    held_out: int = 2000


_DEFAULT = ProbeConfig()


def probe_network(image: ImageShape, config: ProbeConfig = _DEFAULT) -> NetworkConfig:
    """Return the architecture of a probe network for an image shape."""
    depth = max(1, min(image.height, image.width).bit_length() - 3)
    return NetworkConfig(width=config.width, depth=depth)


def probe_training(config: ProbeConfig = _DEFAULT) -> TrainConfig:
    """Return the training settings of a probe network, except for its steps."""
    # No flips: a mirrored digit is a different symbol. CutMix pays only in longer trainings.
    return TrainConfig(epochs=0, batch=config.batch, lr=config.lr, augment=COLOUR_CROP, cutmix=0)


def probe_accuracy(
    images: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor],
    normalisation: Normalisation,
    seed: int,
    config: ProbeConfig = _DEFAULT,
) -> float:
    """Train a probe network on some images; return its accuracy on others, in percent.

    The result is reproducible on the same kind of device: the initial weights and the order of the
    batches depend on the seed only.

    Args:
        images: Images to train on: uint8, or float32 in [0, 1]; [N, C, H, W], on the device to use.
        labels: int64 [N], each class at least once, on the same device.
        held_out: Images and labels to test on, in the same form.
        normalisation: Applied to all images.
        seed: Seed of the run.
        config: The network and its training.

    Raises:
        Diverged: if a loss is infinite or NaN.
    """
    channels, height, width = images.shape[1:]
    image = ImageShape(channels=channels, height=height, width=width)
    network = build_network(
        probe_network(image, config),
        classes=int(labels.max()) + 1,
        image=image,
        generator=stream(seed, "probe", "network"),
    ).to(images.device)
    train(
        network,
        images,
        labels,
        probe_training(config),
        normalisation=normalisation,
        seed=seed,
        name="probe",
        min_steps=config.steps,
    )
    return accuracy(network, *held_out, normalisation=normalisation)


class Probe:
    """Trains probe networks at even intervals of a run.

    Args:
        images: Held-out real images: uint8 [N, C, H, W].
        labels: int64 [N].
        normalisation: Mean and standard deviation of the real images.
        seed: Seed of the run.
        count: Probe networks over the run, 1 or more.
        config: The network and its training.

    Raises:
        BadSettings: if there are no held-out images to test on.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        normalisation: Normalisation,
        seed: int,
        count: int,
        *,
        config: ProbeConfig = _DEFAULT,
    ) -> None:
        if not len(images):
            raise BadSettings(
                "probes are tested on held-out images, but this run holds out none; raise holdout, "
                "for example to 0.1, or omit the probes"
            )
        order = torch.randperm(len(images), generator=stream(seed, "probe", "held-out"))
        rows = order[: config.held_out].to(images.device)
        self._held_out = images[rows], labels[rows]
        self._normalisation = normalisation
        self._seed = seed
        self._count = count
        self._config = config

    def due(self, step: int, total: int) -> bool:
        """Return whether a probe is due after a step; one is always due after the last step.

        Args:
            step: Steps done, from 1 to ``total``.
            total: Steps over which the probes are evenly spaced.
        """
        return step * self._count // total > (step - 1) * self._count // total

    def __call__(self, container: Container) -> float:
        """Return the accuracy in percent of a network trained on the container's current images.

        Returns NaN if the training diverges or runs out of memory: a probe must not end the run.
        """
        with torch.no_grad():
            every = container.labels()
            rows = _rows(container.spec, self._config.images, self._seed).to(every.device)
            images, labels = container.expand(rows), every[rows]
        held_out = self._held_out[0].to(images.device), self._held_out[1].to(images.device)
        try:
            return probe_accuracy(
                images, labels, held_out, self._normalisation, self._seed, self._config
            )
        except Diverged:
            return math.nan
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return math.nan


def _rows(spec: ContainerSpec, most: int, seed: int) -> Tensor:
    """Return indices of at most ``most`` images, equally many per class: int64, class by class."""
    each = torch.randperm(spec.each, generator=stream(seed, "probe", "images"))
    each = each[: _each(spec, most)]
    return (torch.tensor(spec.offsets)[:, None] + each).flatten()


def _each(spec: ContainerSpec, most: int) -> int:
    """Return the images to take per class if there may be at most ``most`` in total."""
    most = min(most, _ELEMENTS // spec.image.elements)
    return min(spec.each, max(1, most // spec.classes))
