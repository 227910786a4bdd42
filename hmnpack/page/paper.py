"""Accuracies reported by the paper for its datasets and budgets (Table 2)."""

import re
from dataclasses import dataclass

from hmnpack.schema.manifest import Manifest
from hmnpack.schema.presets import PRESETS

_NAMES = {
    "cifar10": r"cifar[-_ ]?10(?!\d)",
    "cifar100": r"cifar[-_ ]?100(?!\d)",
    "svhn": r"svhn",
    "tiny-imagenet": r"tiny[-_ ]?imagenet",
    "imagenet-10": r"imagenet[-_ ]?10(?!\d)",
}
"""Dataset of the paper -> pattern that matches the names of its sources."""


@dataclass(frozen=True)
class PaperScore:
    """Accuracies reported by the paper for one dataset and budget.

    Attributes:
        title: Name of the dataset, as in the paper.
        network: Architecture of the networks.
        accuracy: Test accuracy of networks trained on the condensed images, in percent.
        std: Its standard deviation, in percentage points.
        whole: Test accuracy of networks trained on the full dataset, in percent.
    """

    title: str
    network: str
    accuracy: float
    std: float
    whole: float


_WHOLE = {
    "cifar10": ("CIFAR-10", 84.8),
    "cifar100": ("CIFAR-100", 56.2),
    "svhn": ("SVHN", 95.4),
    "tiny-imagenet": ("Tiny-ImageNet", 37.6),
    "imagenet-10": ("ImageNet-10", 90.8),
}

_CONDENSED = {
    ("cifar10", 1): (65.7, 0.3),
    ("cifar10", 10): (73.7, 0.2),
    ("cifar10", 50): (76.9, 0.2),
    ("cifar100", 1): (36.3, 0.2),
    ("cifar100", 10): (45.4, 0.2),
    ("cifar100", 50): (48.5, 0.2),
    ("svhn", 1): (87.4, 0.2),
    ("svhn", 10): (90.0, 0.1),
    ("svhn", 50): (91.2, 0.1),
    ("tiny-imagenet", 1): (19.4, 0.1),
    ("tiny-imagenet", 10): (24.4, 0.1),
    ("imagenet-10", 1): (64.6, 0.1),
}


def paper_score(manifest: Manifest) -> PaperScore | None:
    """Return the accuracies that the paper reports for this dataset and budget, or None.

    A source matches by its name, its number of classes and the shape of its images.
    """
    spec, name = manifest.container, manifest.source.name.lower()
    for preset in PRESETS:
        fits = (preset.ipc, preset.classes, preset.image) == (
            manifest.budget.ipc,
            spec.classes,
            spec.image,
        )
        if fits and re.search(_NAMES[preset.dataset], name):
            accuracy, std = _CONDENSED[preset.dataset, preset.ipc]
            title, whole = _WHOLE[preset.dataset]
            network = "ResNet-AP" if preset.dataset == "imagenet-10" else "ConvNet"
            return PaperScore(title, network, accuracy, std, whole)
    return None


def is_jpeg_copy(name: str) -> bool:
    """Return whether the name of a source indicates a JPEG copy."""
    return re.search(r"jpe?g", name.lower()) is not None
