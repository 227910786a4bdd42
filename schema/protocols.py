"""Protocols: named settings of an evaluation.

A score stores its protocol's name and the settings that differ from it. Once released, the settings
of a protocol never change; new settings get a new name.
"""

from math import log, log2

from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.presets import PRESETS, Preset
from hmnpack.schema.recipes import DataShape, nearest_preset


def short(data: DataShape, _ipc: int) -> EvaluateConfig:
    """Return the default settings, for any dataset and budget: 300 epochs, at least 1,000 steps.

    The ConvNet has 3 blocks for 32 pixels, 4 for 64, 5 for 128 and 6 for 256, as MTT tests photos.
    """
    depth = 3 + max(0, int(log2(data.image.side / 32)))
    return EvaluateConfig(network=NetworkConfig(depth=depth))


def paper(data: DataShape, ipc: int) -> EvaluateConfig:
    """Return the settings by which the paper evaluates its condensed datasets.

    From section 4.1: ten networks per condensed dataset, ConvNets with 3 layers. From appendix
    C.2: SGD with momentum 0.9 and weight decay 0.0002; an initial learning rate of 0.01
    (Tiny-ImageNet and ImageNet-10: 0.02), decreased to 0.0001 by a cosine schedule; DSA and
    CutMix; 2,000 epochs for CIFAR-10 at 1 and 10 images per class and 1,000 at 50, 1,500 and 700
    for SVHN, 500 for CIFAR-100, 300 for the others; ResNet-AP for ImageNet-10.

    From IDC, which the paper's code is based on: 64 images per step, CutMix with probability 0.5,
    a ConvNet width of 128. No epochs are added for small numbers of images.

    Args:
        data: The dataset that the bundle was made from. A dataset that is not in the paper gets
            the settings of the one returned by ``nearest_preset``.
        ipc: The bundle's budget in images per class; the nearest in the paper, by ratio, is used.
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
    """Return the preset of the same dataset with the nearest budget, by ratio."""
    same = (other for other in PRESETS if other.dataset == preset.dataset)
    return min(same, key=lambda other: abs(log(other.ipc / ipc)))
