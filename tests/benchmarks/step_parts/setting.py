"""Inputs shared by the literal step and ours: data, container, network, settings."""

from dataclasses import dataclass

import torch

from hmnpack.container import HMN, new_container
from hmnpack.container.budget import plan
from hmnpack.matching import RealData
from hmnpack.networks import build_network
from hmnpack.networks.convnet import ConvNet
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, GradientConfig, NetworkConfig, Precision
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import DataFacts
from hmnpack.sources import normalisation_of, open_source

CLASSES, REAL, TRAINING = 10, 64, 2000
"""The paper's recipe on CIFAR-10: classes, real images per class, training images per step."""

IMAGE = ImageShape(channels=3, height=32, width=32)


@dataclass(frozen=True)
class Setting:
    """Inputs shared by both steps."""

    data: RealData
    width: int
    facts: DataFacts | None

    def container(self) -> HMN:
        """Return a container as after the warm-up, with frozen norms."""
        config = ContainerConfig()
        container = new_container(plan(1, CLASSES, IMAGE, config), config, stream(0, "container"))
        assert isinstance(container, HMN)
        container.freeze()
        return container.to(self.data.device)

    def network(self) -> ConvNet:
        network = build_network(
            NetworkConfig(width=self.width),
            classes=CLASSES,
            image=IMAGE,
            generator=stream(0, "network"),
        )
        assert isinstance(network, ConvNet)
        return network.to(self.data.device)

    def config(self, precision: Precision) -> GradientConfig:
        return GradientConfig(
            networks=1,
            inner_steps=10_000,  # no measured step starts a new network
            network=NetworkConfig(width=self.width),
            real_batch=REAL,
            train_images=TRAINING,
            precision=precision,
        )


def setting_of(spec: str | None, width: int, device: torch.device) -> Setting:
    """Return the setting on a dataset, or on noise if `spec` is None."""
    if spec:
        source = open_source(spec)
        if (source.image, len(source.classes)) != (IMAGE, CLASSES):
            raise SystemExit(
                f"{source.name}: expected {CLASSES} classes of 3x32x32 images, as in CIFAR-10"
            )
        images, labels = source.train.images, source.train.labels
        normalisation = normalisation_of(source.train)
        facts = DataFacts(name=source.name, fingerprint=source.train.fingerprint)
    else:
        labels = torch.arange(500 * CLASSES) % CLASSES
        shape = (len(labels), IMAGE.channels, IMAGE.height, IMAGE.width)
        images = torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)
        normalisation, facts = Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3), None
    name = facts.fingerprint if facts else "noise"
    data = RealData(images.to(device), labels.to(device), CLASSES, normalisation, name)
    return Setting(data, width, facts)
