"""Settings of a classifier and of its training, shared by several stages."""

from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.container import ImageShape

Precision = Literal["auto", "float32", "bfloat16"]
"""`auto`: bfloat16 on devices with native bfloat16 arithmetic, otherwise float32."""

Augmentation = Literal[
    "flip", "brightness", "saturation", "contrast", "crop", "scale", "rotate", "cutout"
]
MAX_PATCH = 16
"""Largest side of the squares of pixels that a ConvNet's first layer reads as one, in pixels."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

MATCHING_AUGMENTATIONS: tuple[Augmentation, ...] = (
    "brightness",
    "saturation",
    "contrast",
    "crop",
    "cutout",
)
COLOUR_CROP: tuple[Augmentation, ...] = ("brightness", "saturation", "contrast", "crop")
"""For training the networks of gradient matching: without cutout, as CutMix is applied (IDC)."""
TRAINING_AUGMENTATIONS: tuple[Augmentation, ...] = (
    "flip",
    "brightness",
    "saturation",
    "contrast",
    "crop",
    "scale",
    "rotate",
)


class NetworkConfig(Frozen):
    """A classifier: its name and, for a ConvNet, its size."""

    name: str = Field(
        default="convnet",
        description="Architecture: `convnet`, `resnet-ap`; `vgg16`, `resnet18`, `densenet121` in "
        "their variants for 32-pixel images; or a model of torchvision or timm "
        "(`torchvision:resnet34`, `timm:resnet18`).",
    )
    width: int = Field(
        default=128, ge=1, le=4096, description="Channels of a ConvNet's layers; unused otherwise."
    )
    depth: int = Field(
        default=3, ge=1, le=10, description="Number of a ConvNet's blocks; unused otherwise."
    )
    patch: int = Field(
        default=1,
        ge=1,
        le=MAX_PATCH,
        description="Side of the squares that a ConvNet's first layer reads as one pixel of more "
        "channels, in pixels: 2 makes a network on images of 64 pixels about as fast as on 32. "
        "1: single pixels. Unused otherwise.",
    )

    @property
    def has_own_derivatives(self) -> bool:
        """Whether its second derivatives are hand-written: those of a ConvNet on single pixels."""
        return self.name == "convnet" and self.patch == 1


def first_padding(image: ImageShape, patch: int = 1) -> int:
    """Return the padding of a ConvNet's first layer in pixels: 28 become 32, as IDC has it."""
    return 3 if image.side == 28 and patch == 1 else 1


def deepest(image: ImageShape, patch: int = 1) -> int:
    """Return the most blocks of a ConvNet, each of which halves the sides of an image.

    It is 0 for images that are too small for any.

    Args:
        image: Shape of the images.
        patch: Side of the squares of pixels that the first block reads as one pixel.
    """
    shorter = ceil(min(image.height, image.width) / patch)
    return (shorter + 2 * (first_padding(image, patch) - 1)).bit_length() - 1


class TrainConfig(Frozen):
    """Training of one classifier (stochastic gradient descent on cross-entropy)."""

    epochs: int = Field(ge=0, description="Training epochs.")
    batch: int = Field(default=64, ge=1, description="Images per step.")
    lr: Positive = Field(default=0.01, description="Initial learning rate.")
    lr_end: float = Field(
        default=0.0001, ge=0, description="Learning rate at the end of the cosine schedule."
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="Learning rate schedule, updated at every step."
    )
    momentum: Fraction = Field(default=0.9, description="Momentum of the optimiser.")
    weight_decay: float = Field(default=0.0005, ge=0, description="L2 penalty on every weight.")
    augment: tuple[Augmentation, ...] = Field(
        default=TRAINING_AUGMENTATIONS,
        description="Augmentations, with random parameters per image. Each step applies exactly "
        "one of those listed among crop, scale, rotate and cutout.",
    )
    cutmix: Fraction = Field(
        default=0.5, description="Probability that CutMix is applied to a batch."
    )
    precision: Precision = Field(
        default="auto", description="Floating-point type of the forward and backward passes."
    )
