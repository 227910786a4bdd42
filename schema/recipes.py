"""Recipes: named settings of a whole run."""

from math import log

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.config import (
    COLOUR_CROP,
    MATCHING_AUGMENTATIONS,
    CompressConfig,
    ContainerConfig,
    GradientConfig,
    MatchConfig,
    NetworkConfig,
    PoolConfig,
    PruneConfig,
    TrainConfig,
    WarmupConfig,
)
from hmnpack.schema.container import ImageShape
from hmnpack.schema.presets import PRESETS, Preset


class DataShape(Frozen):
    """What a recipe may depend on: not the images, only what kind of data set they are."""

    name: str = Field(description="Name of the data set, as a bundle records it.")
    classes: int = Field(ge=1, description="Number of classes K.")
    image: ImageShape = Field(description="Shape of every image.")


CIFAR10 = DataShape(name="cifar10", classes=10, image=ImageShape(channels=3, height=32, width=32))
"""What a recipe is for where no data set is named."""

SMOKE = CompressConfig(
    recipe="smoke",
    pool=PoolConfig(
        size=1,
        network=NetworkConfig(width=8, depth=2),
        train=TrainConfig(epochs=1, augment=MATCHING_AUGMENTATIONS),
        min_steps=0,
    ),
    warmup=WarmupConfig(steps=5, batch=64),
    match=MatchConfig(steps=4, real_batch=8, synthetic_batch=4),
)
"""Seconds: for tests, and to see whether a data set opens."""

FAST = CompressConfig(
    recipe="fast",
    pool=PoolConfig(
        size=2,
        network=NetworkConfig(width=64),
        train=TrainConfig(
            epochs=4, lr=0.02, lr_end=0.0002, augment=MATCHING_AUGMENTATIONS, cutmix=0.0
        ),
    ),
    container=ContainerConfig(activation="gelu", min_images=30, decoder_width=32, dtype="I8"),
    warmup=WarmupConfig(steps=300),
    match=MatchConfig(
        steps=2300,
        real_batch=128,
        lr=0.04,
        part_images=22,
        classification_images=100,
        views=120,
        farthest=0.3,
    ),
)
"""Half an hour of one processor core for CIFAR-10 at 1 IPC, as measured in examples/reproduce."""

BEST = CompressConfig(
    recipe="best",
    pool=PoolConfig(
        size=10,
        network=NetworkConfig(width=128),
        train=FAST.pool.train.model_copy(update={"epochs": 20}),
    ),
    container=FAST.container,
    warmup=FAST.warmup.model_copy(update={"steps": 1000}),
    match=FAST.match.model_copy(update={"steps": 40_000, "lr": 0.02, "views": 2000}),
)
"""What `fast` would do with far more arithmetic, for a GPU; no measurement has chosen it yet."""


def nearest_preset(data: DataShape) -> Preset:
    """Return a column of the paper's Table 7 for the data set that is nearest to this one.

    Nearest by the sum of the absolute log-ratios of the longer side and of the number of classes.
    SVHN and CIFAR-10 have the same of both: a name with ``svhn`` in it is SVHN.
    """
    is_svhn = "svhn" in data.name.lower()

    def distance(preset: Preset) -> tuple[float, bool]:
        side, classes = preset.image.side / data.image.side, preset.classes / data.classes
        return abs(log(side)) + abs(log(classes)), (preset.dataset == "svhn") != is_svhn

    return min(PRESETS, key=distance)


def paper(data: DataShape = CIFAR10) -> CompressConfig:
    """Return the paper's own settings for a data set.

    From the paper's section 3.2: a tenth more images than fit, pruned back by double-end pruning
    with the best of ten values of beta.

    From its appendix C.2: 1,000 networks of 200 inner steps; Adam (0.9, 0.99) at 0.01 (CIFAR-100:
    0.02), a tenth of it after 600 and after 800 networks; the squared distance for CIFAR-10 and
    SVHN, the absolute one for CIFAR-100 and Tiny-ImageNet; a ConvNet of 3 layers (Tiny-ImageNet
    too), ResNet-AP for ImageNet-10.

    From IDC, which the paper builds on: a new network each time, its rate of 0.01, momentum of 0.9
    and weight decay of 0.0005, its colour and crop augmentation; 64 real and at most 128 synthetic
    images per class and step; 2,000 real images of network training after each step for CIFAR, 500
    for all others; CutMix with probability 0.5 (ImageNet-10: 1); 10 epochs of training before the
    first step and the absolute distance for ImageNet-10; the ConvNet's width of 128.

    Ours, where neither says anything: the warm-up on random images (no pool); the decoder's ReLU,
    its sigmoid, and its normalisation, which is constant after the warm-up; how networks are
    trained for margins. Ours, where they differ: one optimiser step for all classes, where IDC
    takes one after each; beta is chosen on a tenth of train, which is not condensed; the images'
    own mean and deviation (IDC has constants of CIFAR-10: about the same mean, 0.2 for the
    deviation where it is 0.25); bfloat16 where the device multiplies it.

    Data sets that the paper does not have get the settings of the one that ``nearest_preset``
    finds. With one colour channel they get the absolute distance and 500 images, which IDC uses
    for MNIST and Fashion-MNIST.

    Args:
        data: The data set; CIFAR-10 if not given.
    """
    preset = nearest_preset(data)
    is_grey = data.image.channels == 1
    is_imagenet = preset.dataset == "imagenet-10"
    network = NetworkConfig(name="resnet-ap") if is_imagenet else NetworkConfig(width=128, depth=3)
    return CompressConfig(
        recipe="paper",
        pool=PoolConfig(size=1, network=network, train=TrainConfig(epochs=1), min_steps=0),
        match=MatchConfig(steps=0),
        gradient=GradientConfig(
            networks=1000,
            inner_steps=200,
            network=network,
            train_images=2000 if preset.dataset.startswith("cifar") and not is_grey else 500,
            train=TrainConfig(
                epochs=10 if is_imagenet else 0,
                schedule="constant",
                augment=COLOUR_CROP,
                cutmix=1.0 if is_imagenet else 0.5,
            ),
            distance="l1" if is_grey else preset.match_distance,
            real_batch=64,
            synthetic_batch=128,
            lr=preset.match_lr,
        ),
        prune=PruneConfig(strategy="double-end", network=network),
    )


PAPER = paper()
"""The paper's own settings for CIFAR-10."""
