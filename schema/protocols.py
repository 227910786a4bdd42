"""Protocols: named ways of judging a bundle.

A score names one and says what differs from it: once released, the settings of a name never change;
other settings get another name.
"""

from collections.abc import Callable
from math import log

from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.presets import PRESETS, Preset
from hmnpack.schema.recipes import DataShape, nearest_preset


def short(data: DataShape, ipc: int) -> EvaluateConfig:
    """Return what is done where nothing else is asked for: 300 epochs, 1,000 steps or more.

    Args:
        data: Not looked at: the same for every data set.
        ipc: Not looked at: the same for every budget.
    """
    del data, ipc
    return EvaluateConfig()


def paper(data: DataShape, ipc: int) -> EvaluateConfig:
    """Return how the paper trains on its bundles.

    From section 4.1: ten networks on each bundle, ConvNets of 3 layers. From appendix C.2: SGD
    with momentum 0.9 and weight decay 0.0002; a rate of 0.01 (Tiny-ImageNet and ImageNet-10:
    0.02) that falls to 0.0001 by a cosine; DSA and CutMix; 2,000 epochs for CIFAR-10 with 1 and 10
    images per class and 1,000 with 50, 1,500 and 700 for SVHN, 500 for CIFAR-100, 300 for the
    others; ResNet-AP for ImageNet-10.

    From IDC, which the paper's code is based on: 64 images a step, CutMix with probability 0.5,
    the ConvNet's width of 128. No epochs are added where images are few.

    Args:
        data: The data set that the bundle was made from. One that the paper does not have is
            judged as the one that ``nearest_preset`` finds.
        ipc: The bundle's budget; its nearest in the paper decides, by ratio.
    """
    preset = _nearest_budget(nearest_preset(data), ipc)
    name = "resnet-ap" if preset.dataset == "imagenet-10" else "convnet"
    return EvaluateConfig(
        protocol="paper",
        network=NetworkConfig(name=name, width=128, depth=3),
        train=TrainConfig(
            epochs=preset.train_epochs,
            batch=64,
            lr=preset.train_lr,
            lr_end=0.0001,
            momentum=0.9,
            weight_decay=0.0002,
            cutmix=0.5,
        ),
        repeats=10,
        min_steps=0,
    )


def _nearest_budget(preset: Preset, ipc: int) -> Preset:
    """Return the preset of the same data set whose budget is nearest."""
    same = (other for other in PRESETS if other.dataset == preset.dataset)
    return min(same, key=lambda other: abs(log(other.ipc / ipc)))


def protocol_of(name: str, manifest: Manifest) -> EvaluateConfig:
    """Return the settings that a protocol has for a bundle, by the data that it was made from.

    Args:
        name: A name of :data:`PROTOCOLS`.
        manifest: Of the bundle.
    """
    source, image = manifest.source, manifest.container.image
    data = DataShape(name=source.name, classes=len(manifest.classes), image=image)
    return PROTOCOLS[name](data, manifest.nearest_ipc)


PROTOCOLS: dict[str, Callable[[DataShape, int], EvaluateConfig]] = {"short": short, "paper": paper}
"""By name, the default first: from a data set and a budget in images per class to settings."""
