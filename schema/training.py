"""Settings of a classifier and of its training, which several stages share."""

from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen

Precision = Literal["auto", "float32", "bfloat16"]
"""`auto`: bfloat16 where the device multiplies it natively, else float32."""

Augmentation = Literal[
    "flip", "brightness", "saturation", "contrast", "crop", "scale", "rotate", "cutout"
]
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
"""Of the networks that gradients are matched through, which CutMix cuts out of (IDC)."""
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
    """A classifier by name, with the sizes that its name leaves open."""

    name: str = Field(
        default="convnet",
        description="`convnet`, `resnet-ap`; `vgg16`, `resnet18`, `densenet121` in their forms for "
        "32 pixels; or a name from torchvision or timm (`torchvision:resnet34`, `timm:resnet18`).",
    )
    width: int = Field(
        default=128, ge=1, le=4096, description="Channels of a ConvNet's layers; else unused."
    )
    depth: int = Field(
        default=3, ge=1, le=10, description="Number of a ConvNet's blocks; else unused."
    )


class TrainConfig(Frozen):
    """How one classifier is trained (stochastic gradient descent on cross-entropy)."""

    epochs: int = Field(ge=0, description="Passes over the images.")
    batch: int = Field(default=64, ge=1, description="Images per step.")
    lr: Positive = Field(default=0.01, description="Learning rate at the start.")
    lr_end: float = Field(
        default=0.0001, ge=0, description="Learning rate at the end of the cosine schedule."
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="How the learning rate changes from step to step."
    )
    momentum: Fraction = Field(default=0.9, description="Momentum of the optimiser.")
    weight_decay: float = Field(default=0.0005, ge=0, description="L2 penalty on every weight.")
    augment: tuple[Augmentation, ...] = Field(
        default=TRAINING_AUGMENTATIONS,
        description="Augmentations, one draw per image; of crop, scale, rotate and cutout "
        "exactly one is taken at each step.",
    )
    cutmix: Fraction = Field(default=0.5, description="Probability that a batch is cut-mixed.")
    precision: Precision = Field(
        default="auto", description="Arithmetic of the forward and backward pass."
    )
