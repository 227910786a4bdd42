"""Settings and images small enough to train on within a second, and bundles to prune."""

from collections.abc import Callable

import pytest
import torch

from hmnpack.container import container_of
from hmnpack.pruning import LabelledImages
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, PruneConfig, TrainConfig
from hmnpack.schema.manifest import Normalisation, SourceFacts
from hmnpack.sources import Source
from hmnpack.sources.types import split_of


@pytest.fixture
def plain():
    """A training without augmentation."""
    return TrainConfig(epochs=3, batch=8, lr=0.05, augment=(), cutmix=0)


@pytest.fixture
def changed(plain) -> Callable[..., PruneConfig]:
    """Return a function that makes settings of double-end pruning with overrides."""
    base = {
        "strategy": "double-end",
        "betas": (0.0, 0.5, 0.6, 1.0),
        "network": NetworkConfig(width=4, depth=2),
        "seeds": 2,
        "margin_epochs": plain.epochs,
        "train": plain,
        "min_steps": 0,
    }
    return lambda **changes: PruneConfig.model_validate(base | changes)


@pytest.fixture
def config(changed) -> PruneConfig:
    return changed()


@pytest.fixture
def shades():
    """Return a function that makes noisy images, class by class; a class is a shade of grey."""

    def make(per_class=8, seed=0, classes=3):
        labels = torch.arange(classes).repeat_interleave(per_class)
        noise = torch.rand(len(labels), 1, 8, 8, generator=stream(seed, "pixels")) * 0.4
        pixels = noise + 0.3 * labels.view(-1, 1, 1, 1)
        return LabelledImages(pixels, labels, classes, Normalisation(mean=(0.5,), std=(0.25,)))

    return make


def source_of(per_class=20):
    labels = torch.arange(3).repeat_interleave(per_class)
    noise = torch.randint(0, 120, (len(labels), 3, 16, 16), generator=stream(0, "pixels"))
    images = (noise + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return Source("shades", ("ant", "bee", "cat"), split_of(images, labels), None)


@pytest.fixture
def source():
    """A dataset without a test split."""
    return source_of()


@pytest.fixture
def other_source():
    return source_of(per_class=21)


@pytest.fixture
def big(bundle_of, hmn, source):
    """A bundle of three classes whose manifest names the source as its dataset."""
    facts = SourceFacts(
        name="shades",
        fingerprint=source.train.fingerprint,
        train_images=60,
        held_out=6,
        skipped={},
    )
    spec = hmn(classes=3, instances=80, dataset_channels=2, extractor_channels=None)
    return bundle_of(spec, source=facts, recipe="smoke", seed=0, holdout=0.1)


@pytest.fixture
def images_of():
    """Return a function that decodes a bundle."""
    return lambda bundle: container_of(bundle.manifest.container, bundle.tensors).expand()


@pytest.fixture
def rows_of(images_of):
    """Return a function that finds the images of one bundle among those of another."""

    def find(small, big):
        return torch.cdist(images_of(small).flatten(1), images_of(big).flatten(1)).argmin(1)

    return find
