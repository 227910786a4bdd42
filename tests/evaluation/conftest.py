"""A small dataset whose classes are shades of grey, bundles of its images, and a protocol."""

import pytest
import torch

from hmnpack.bundle import Bundle, data_sha256
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImagesSpec
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Budget, Manifest, Normalisation, Provenance, SourceFacts
from hmnpack.sources import Source
from hmnpack.sources.types import split_of

CLASSES = ("dark", "middle", "light")
PROTOCOL = EvaluateConfig(
    network=NetworkConfig(width=4, depth=2),
    train=TrainConfig(epochs=8, batch=8, lr=0.05, augment=("flip", "crop"), cutmix=0),
    repeats=2,
    min_steps=0,
)


def shades(per_class, seed, side=16, channels=3):
    generator = stream(seed, "split")
    labels = torch.arange(3 * per_class) % 3
    pixels = torch.rand(3 * per_class, channels, side, side, generator=generator) * 40
    slope = torch.linspace(0, 60, side).view(1, 1, 1, side)
    shades = labels.view(-1, 1, 1, 1) * 70
    ramps = torch.where(labels.view(-1, 1, 1, 1) == 1, slope, slope.transpose(2, 3))
    images = (pixels + shades / 2 + ramps * (labels.view(-1, 1, 1, 1) > 0)).to(torch.uint8)
    return split_of(images, labels)


@pytest.fixture(scope="package")
def config():
    return PROTOCOL


@pytest.fixture(scope="package")
def split():
    """Return a function that makes a split from images per class and a seed."""
    return shades


@pytest.fixture(scope="package")
def source():
    return Source(name="shades", classes=CLASSES, train=shades(20, 1), test=shades(10, 2))


def made_of(source, per_class=4):
    spec = ImagesSpec(classes=3, instances=per_class, image=source.image)
    labels = source.train.labels
    rows = torch.cat([(labels == k).nonzero()[:per_class, 0] for k in range(3)])
    tensors = {"pixels": source.train.images[rows].float() / 255}
    floats = per_class * 3 * source.image.elements
    manifest = Manifest(
        source=SourceFacts(
            name="shades", fingerprint="0" * 64, train_images=60, held_out=0, skipped={}
        ),
        classes=CLASSES,
        normalisation=Normalisation(mean=(0.4,) * 3, std=(0.2,) * 3),
        container=spec,
        ledger=spec.ledger(),
        budget=Budget(ipc=per_class, floats=floats, bytes=4 * floats),
        provenance=Provenance(hmnpack="0", torch="0", device="cpu", real_images_used_to_start=True),
        data_sha256=data_sha256(tensors),
    )
    return Bundle(manifest, tensors)


@pytest.fixture(scope="package")
def shades_bundle():
    """Return a function that bundles the first images of each class of a source."""
    return made_of
