"""The paper's settings: Table 7 (containers) and appendix C.2 (condensing and training)."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.container import ImageShape


class Preset(Frozen):
    """One column of Table 7, with the settings of its dataset from appendix C.2."""

    dataset: str = Field(description="Name of the dataset in the paper.")
    ipc: int = Field(ge=1, description="Budget, in images per class.")
    classes: int = Field(ge=1, description="Number of classes K.")
    image: ImageShape = Field(description="Image shape that the budget is computed from.")
    grid: int = Field(ge=1, description="Side M of every memory, in cells.")
    dataset_channels: int = Field(ge=1, description="Channels of the dataset-level memory.")
    class_channels: int = Field(ge=1, description="Channels of the class-level memories.")
    instance_channels: int = Field(ge=1, description="Channels of the instance-level memories.")
    extractor_channels: int | None = Field(description="Output channels of f_c; null: identity.")
    instances: int = Field(ge=1, description="Instance-level memories per class.")
    over_budget: int = Field(ge=1, description="Instance-level memories per class, over budget.")
    match_lr: float = Field(default=0.01, gt=0, description="Adam learning rate of condensation.")
    match_distance: Literal["mse", "l1"] = Field(description="Distance between gradients.")
    train_epochs: int = Field(ge=1, description="Training epochs on the condensed images.")
    train_lr: float = Field(default=0.01, gt=0, description="Initial SGD rate of that training.")


_CIFAR_IMAGE = ImageShape(channels=3, height=32, width=32)
_TINY_IMAGE = ImageShape(channels=3, height=64, width=64)
_IMAGENET_IMAGE = ImageShape(channels=3, height=224, width=224)


def _columns() -> tuple[Preset, ...]:
    # ipc, channels (dataset, class, instance), f_c, count, over-budget count, training epochs
    ten_classes = (
        (1, (5, 3, 2), None, 85, 93),
        (10, (50, 30, 6), 40, 278, 306),
        (50, (50, 30, 8), 40, 1168, 1284),
    )
    rows = [
        ("svhn", 10, _CIFAR_IMAGE, 4, *ten_classes[0], 1500),
        ("svhn", 10, _CIFAR_IMAGE, 4, *ten_classes[1], 1500),
        ("svhn", 10, _CIFAR_IMAGE, 4, *ten_classes[2], 700),
        ("cifar10", 10, _CIFAR_IMAGE, 4, *ten_classes[0], 2000),
        ("cifar10", 10, _CIFAR_IMAGE, 4, *ten_classes[1], 2000),
        ("cifar10", 10, _CIFAR_IMAGE, 4, *ten_classes[2], 1000),
        ("cifar100", 100, _CIFAR_IMAGE, 4, 1, (5, 3, 2), None, 93, 102, 500),
        ("cifar100", 100, _CIFAR_IMAGE, 4, 10, (50, 30, 8), 40, 219, 243, 500),
        ("cifar100", 100, _CIFAR_IMAGE, 4, 50, (50, 30, 14), 40, 673, 740, 500),
        ("tiny-imagenet", 200, _TINY_IMAGE, 8, 1, (30, 20, 4), None, 42, 46, 300),
        ("tiny-imagenet", 200, _TINY_IMAGE, 8, 10, (50, 30, 10), 40, 185, 203, 300),
        ("imagenet-10", 10, _IMAGENET_IMAGE, 12, 1, (30, 25, 8), None, 125, 138, 300),
    ]
    l1_sets = ("cifar100", "tiny-imagenet", "imagenet-10")
    return tuple(
        Preset(
            dataset=name,
            ipc=ipc,
            classes=classes,
            image=image,
            grid=grid,
            dataset_channels=channels[0],
            class_channels=channels[1],
            instance_channels=channels[2],
            extractor_channels=extractor,
            instances=count,
            over_budget=over,
            match_lr=0.02 if name == "cifar100" else 0.01,
            match_distance="l1" if name in l1_sets else "mse",
            train_epochs=epochs,
            train_lr=0.02 if name in ("tiny-imagenet", "imagenet-10") else 0.01,
        )
        for name, classes, image, grid, ipc, channels, extractor, count, over, epochs in rows
    )


PRESETS = _columns()
"""All columns of Table 7. ImageNet-10's distance is from IDC's code; the paper states none."""

DECODER_CHANNELS = (10, 6)
"""Output channels of all decoder layers except the last (paper appendix C.1)."""
