"""Recipes of methods to compare with: their authors' settings, in this package's harness.

Rows that state a dataset and a budget are the authors'. For any other dataset or budget the nearest
row applies, which no author has tried. A method's page (METHODS.md) says which rows are theirs, and
where our protocol differs.
"""

from math import log
from typing import Any

from hmnpack.schema.characters import is_of_characters, without_mirrored_characters
from hmnpack.schema.config import CompressConfig, MatchConfig, PoolConfig, WarmupConfig
from hmnpack.schema.dc import DcConfig
from hmnpack.schema.dm import DmConfig
from hmnpack.schema.hallucinator import HallucinatorConfig
from hmnpack.schema.idc import IdcConfig
from hmnpack.schema.images import ImagesConfig
from hmnpack.schema.linear_basis import LinearBasisConfig
from hmnpack.schema.methods import AnyRivalConfig
from hmnpack.schema.multi_formation import MultiFormationConfig
from hmnpack.schema.recipes import CIFAR10, DataShape, fast
from hmnpack.schema.training import (
    COLOUR_CROP,
    MATCHING_AUGMENTATIONS,
    TRAINING_AUGMENTATIONS,
    Augmentation,
    NetworkConfig,
    TrainConfig,
)

CONVNET = NetworkConfig(width=128, depth=3)
"""The network that the authors condense 32-pixel images with."""

ADAM_LR = 0.01
"""Rate of Adam on containers that a method's authors did not use: that of the paper's memories."""

DC_LOOPS = {
    1: (1, 1),
    10: (10, 50),
    20: (20, 25),
    30: (30, 20),
    40: (40, 15),
    50: (50, 10),
    100: (100, 2),
}
"""Budget in images per class -> steps on the images per network, and epochs of the network's
training between them. From DC's code; 100 is its author's advice in an issue."""

LARGE_SIDE = 96
"""Longer side, in pixels, from which IDC's settings for ImageNet-10 apply."""


def siamese(data: DataShape) -> tuple[Augmentation, ...]:
    """Return the augmentations of DSA's strategy; digits and letters are not mirrored."""
    return (*without_mirrored_characters(TRAINING_AUGMENTATIONS, data.name), "cutout")


def nearest(table: dict[int, Any], ipc: int) -> Any:  # noqa: ANN401 - of any table
    """Return the row of the budget whose ratio to this one is nearest to 1."""
    return table[min(table, key=lambda known: abs(log(known / ipc)))]


def rival_recipe(name: str, rival: AnyRivalConfig, **settings: Any) -> CompressConfig:  # noqa: ANN401
    """Return a recipe with a method in place of our own objectives.

    Args:
        name: Name of the recipe.
        rival: The method's settings.
        settings: Other settings, by name of their group; plain images by default.
    """
    unused = PoolConfig(size=1, network=rival.network, train=TrainConfig(epochs=1), min_steps=0)
    given = {"container": ImagesConfig(), "rival": rival} | settings
    return CompressConfig(recipe=name, pool=unused, match=MatchConfig(steps=0), **given)


def dc(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return DC's settings (Zhao et al., ICLR 2021; the authors' code, October 2023).

    The authors start from normal noise in normalised space, we from uniform noise in [0, 1].

    Args:
        data: The dataset. The authors' settings are the same for all of theirs.
        ipc: Budget, in images per class.
    """
    return rival_recipe("dc", _dc(ipc, ()), warmup=WarmupConfig(images="none"))


def dsa(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return DSA's settings (Zhao and Bilen, ICML 2021): DC's, with augmentation, from real images.

    Args:
        data: The dataset; its name decides about mirroring.
        ipc: Budget, in images per class.
    """
    return rival_recipe("dsa", _dc(ipc, siamese(data)))


def dm(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return DM's settings (Zhao and Bilen, WACV 2023).

    The rate is 1, or 10 for CIFAR-10 at 100 images per class and more.

    Args:
        data: The dataset; its name decides about mirroring.
        ipc: Budget, in images per class.
    """
    rival = DmConfig(
        iterations=20_000,
        network=CONVNET,
        real_batch=256,
        synthetic_batch=128,
        augment=siamese(data),
        lr=10 if ipc >= 100 and data.classes == CIFAR10.classes else 1,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )
    return rival_recipe("dm", rival)


def idc(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return IDC's settings (Kim et al., ICML 2022), with its container.

    CIFAR-10, CIFAR-100 and others of 32 pixels: squared distance, 2,000 real images of training
    (SVHN: 500). One colour channel: absolute distance, 500 images; digits: without CutMix and
    cutout. From 96 pixels: those of ImageNet-10, with ResNet-AP.

    Args:
        data: The dataset.
        ipc: Budget, in images per class; the rate is in proportion to it.
    """
    is_grey, is_large = data.image.channels == 1, data.image.side >= LARGE_SIDE
    is_digits = is_grey and is_of_characters(data.name)
    lr = 3e-3 if is_large else 1e-4 if is_grey else 5e-3
    few = is_grey or is_large or "svhn" in data.name.lower()
    rival = IdcConfig(
        iterations=500 if is_large else 2000,
        inner_steps=100,
        network=NetworkConfig(name="resnet-ap") if is_large else CONVNET,
        train_images=500 if few else 2000,
        train=TrainConfig(
            epochs=10 if is_large else 0,
            schedule="constant",
            augment=COLOUR_CROP,
            cutmix=0.0 if is_digits else 1.0 if is_large else 0.5,
        ),
        distance="l1" if is_grey or is_large else "mse",
        real_batch=64,
        synthetic_batch=128,
        augment=COLOUR_CROP if is_digits else MATCHING_AUGMENTATIONS,
        lr=lr * ipc / 10,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )
    return rival_recipe("idc", rival, container=MultiFormationConfig())


def _dc(ipc: int, augment: tuple[Augmentation, ...]) -> DcConfig:
    steps, epochs = nearest(DC_LOOPS, ipc)
    return DcConfig(
        iterations=1000,
        image_steps=steps,
        epochs=epochs,
        batch=256,
        network=CONVNET,
        network_lr=0.01,
        real_batch=256,
        synthetic_batch=128,
        augment=augment,
        lr=0.1,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )


def haba(data: DataShape = CIFAR10) -> CompressConfig:
    """Return HaBa's container (Liu et al., NeurIPS 2022) under the objective of `fast`.

    The authors' own loss is MTT's trajectory matching with an adversarial term for diversity.
    """
    return fast(data).model_copy(update={"recipe": "haba", "container": HallucinatorConfig()})


def linba(data: DataShape = CIFAR10) -> CompressConfig:
    """Return LinBa's container (Deng and Russakovsky, NeurIPS 2022) under the objective of `fast`.

    The authors' own loss is back-propagation through 150 training steps.
    """
    return fast(data).model_copy(update={"recipe": "linba", "container": LinearBasisConfig()})


DC = dc()
DSA = dsa()
DM = dm()
IDC = idc()
HABA = haba()
LINBA = linba()
