"""Recipes: named settings of a complete run."""

from math import ceil, log

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
from hmnpack.schema.training import MAX_PATCH


class DataShape(Frozen):
    """The properties of a dataset that a recipe may depend on; the images are not among them."""

    name: str = Field(description="Name of the dataset, as recorded in a bundle.")
    classes: int = Field(ge=1, description="Number of classes K.")
    image: ImageShape = Field(description="Shape of the images.")


CIFAR10 = DataShape(name="cifar10", classes=10, image=ImageShape(channels=3, height=32, width=32))
"""Dataset that a recipe is computed for when none is given."""

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
"""Runs in seconds: for tests, and to check that a dataset can be read."""

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
"""Half an hour on one CPU core for CIFAR-10 at 1 IPC; measurements are in examples/reproduce."""

MATCHED_SIDE = 32
"""Side, in pixels, that `fast` reduces larger images to in its networks' first layer, which reads
squares of pixels. A network then costs about as much per image as for CIFAR-10."""

_DECODED = 0.16
"""Time to decode an image of 32 pixels, relative to a network's passes through it (measured on one
core with bfloat16); it grows with the number of pixels."""

_TIME = 2.0
"""Time for matching, as a multiple of that for CIFAR-10: about 20 minutes of one core."""

_FEWEST_STEPS = 200

_STEPS_PER_VIEW = 8
"""Fewest steps for each view, whose real features take about as long as a step."""


def fast(data: DataShape = CIFAR10) -> CompressConfig:
    """Return settings that take about half an hour of one CPU core for usual sets of photos.

    For CIFAR-10 they are :data:`FAST`. Larger images are read in squares of pixels by the matching
    networks, are fewer in a step of the warm-up, and are matched in fewer steps if there are more
    classes or pixels: a step takes time in proportion to the classes, and to 1 plus a part for
    decoding that grows with the pixels. There are always some steps, so many classes of large
    images take longer, and so does the pool of many images.

    Args:
        data: The dataset; CIFAR-10 by default.
    """
    patch = min(MAX_PATCH, max(1, round(data.image.side / MATCHED_SIDE)))
    pixels = data.image.height * data.image.width / MATCHED_SIDE**2
    cost = data.classes / CIFAR10.classes * (1 + _DECODED * pixels) / (1 + _DECODED)
    steps = max(_FEWEST_STEPS, round(FAST.match.steps * min(1, _TIME / cost)))
    views = min(FAST.match.views, ceil(steps / _STEPS_PER_VIEW))
    network = FAST.pool.network.model_copy(update={"patch": patch})
    return FAST.model_copy(
        update={
            "pool": FAST.pool.model_copy(update={"network": network}),
            "warmup": FAST.warmup.model_copy(update={"batch": FAST.warmup.batch // patch}),
            "match": FAST.match.model_copy(update={"steps": steps, "views": views}),
        }
    )


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
"""`fast` with a far larger compute budget, for a GPU; not yet validated by measurements."""


def nearest_preset(data: DataShape) -> Preset:
    """Return a column of the paper's Table 7 for the dataset nearest to this one.

    The distance is the sum of the absolute log-ratios of the longer side and of the number of
    classes. SVHN and CIFAR-10 agree in both: SVHN is used if the name contains ``svhn``.
    """
    is_svhn = "svhn" in data.name.lower()

    def distance(preset: Preset) -> tuple[float, bool]:
        side, classes = preset.image.side / data.image.side, preset.classes / data.classes
        return abs(log(side)) + abs(log(classes)), (preset.dataset == "svhn") != is_svhn

    return min(PRESETS, key=distance)


def paper(data: DataShape = CIFAR10) -> CompressConfig:
    """Return the paper's settings for a dataset.

    From the paper's section 3.2: condense 10 % more images than fit the budget, then apply
    double-end pruning with the best of ten values of beta.

    From its appendix C.2: 1,000 networks with 200 inner steps each; Adam with betas (0.9, 0.99)
    and learning rate 0.01 (CIFAR-100: 0.02), divided by 10 after 600 and after 800 networks;
    squared distance for CIFAR-10 and SVHN, absolute distance for CIFAR-100 and Tiny-ImageNet; a
    ConvNet with 3 layers (also for Tiny-ImageNet), ResNet-AP for ImageNet-10.

    From IDC, which the paper builds on: a newly initialised network each time, trained with
    learning rate 0.01, momentum 0.9, weight decay 0.0005, and colour and crop augmentation; 64
    real and at most 128 synthetic images per class and step; after each step, network training on
    2,000 real images for CIFAR and 500 for all others; CutMix with probability 0.5 (ImageNet-10:
    1); for ImageNet-10, 10 epochs of training before the first step and the absolute distance; a
    ConvNet width of 128.

    Our choices, where neither states one: warm-up on random images (no pool); the decoder's ReLU,
    sigmoid and normalisation, which is constant after the warm-up; the training of the networks
    that measure margins. Our deviations: one optimiser step for all classes, where IDC takes one
    per class; beta is chosen on a validation split, a tenth of the training split that is not
    condensed; mean and standard deviation are computed from the images (IDC uses CIFAR-10
    constants: about the same mean, but a standard deviation of 0.2 instead of 0.25); bfloat16 on
    devices with native support.

    Datasets that are not in the paper get the settings of the one returned by ``nearest_preset``.
    Datasets with one colour channel get the absolute distance and 500 images, which IDC uses for
    MNIST and Fashion-MNIST.

    Args:
        data: The dataset; CIFAR-10 by default.
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
"""The paper's settings for CIFAR-10."""
