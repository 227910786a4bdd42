"""What all containers have in common: the shape of their images, and how many a class has.

Shape legend: N images, K classes, C channels, H height, W width.
"""

from itertools import accumulate
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Frozen
from hmnpack.schema.instances import MAX_CLASSES, Instances, check_length, in_words

MAX_DECODED_ELEMENTS = 2**34
"""Maximum elements (pixels times channels) that all images of a bundle decode to."""

MAX_ENLARGEMENT = 8
"""Maximum factor of the final resize (ImageNet-10 in the paper: 224 / 96)."""

Width = Annotated[int, Field(ge=1, le=4096)]


class ImageShape(Frozen):
    """Shape of the images of a dataset: C x H x W."""

    channels: int = Field(ge=1, le=16, description="Colour channels C of an image: 1 or 3.")
    height: int = Field(ge=1, le=4096, description="Height H of an image, in pixels.")
    width: int = Field(ge=1, le=4096, description="Width W of an image, in pixels.")

    @property
    def elements(self) -> int:
        """Elements of one image: C * H * W."""
        return self.channels * self.height * self.width

    @property
    def side(self) -> int:
        """The longer side, in pixels."""
        return max(self.height, self.width)


class Stored(Frozen):
    """Fields that all containers have in common."""

    classes: int = Field(ge=1, le=MAX_CLASSES, description="Number of classes K.")
    instances: Instances = Field(
        description="Images per class: one integer, or K integers that are not all equal. Images "
        "are stored class by class."
    )
    image: ImageShape = Field(description="Shape of a decoded image.")

    @model_validator(mode="after")
    def _every_class_has_its_count(self) -> Self:
        check_length("instances", self.instances, self.classes)
        return self

    @model_validator(mode="after")
    def _decodes_to_a_bounded_size(self) -> Self:
        decoded = self.images * self.image.elements
        if decoded > MAX_DECODED_ELEMENTS:
            raise PydanticCustomError(
                "too_large",
                "{images} images would decode to {decoded} elements, more than the maximum of "
                "{limit}",
                {"images": self.images, "decoded": decoded, "limit": MAX_DECODED_ELEMENTS},
            )
        return self

    @property
    def images(self) -> int:
        """Number of images N in the bundle."""
        if isinstance(self.instances, int):
            return self.classes * self.instances
        return sum(self.instances)

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of each class, one entry per class."""
        if isinstance(self.instances, int):
            return (self.instances,) * self.classes
        return self.instances

    @property
    def offsets(self) -> tuple[int, ...]:
        """Position of each class's first image, one entry per class."""
        return tuple(accumulate(self.counts[:-1], initial=0))

    @property
    def smallest(self) -> int:
        """Number of images in the smallest class."""
        return self.instances if isinstance(self.instances, int) else min(self.instances)

    @property
    def largest(self) -> int:
        """Number of images in the largest class."""
        return self.instances if isinstance(self.instances, int) else max(self.instances)

    @property
    def each(self) -> int:
        """Images per class, if all classes have the same number, as during condensation.

        Raises:
            ValueError: if the numbers differ.
        """
        if isinstance(self.instances, int):
            return self.instances
        raise ValueError(f"classes have different numbers of images: {in_words(self.instances)}")

    @property
    def images_per_row(self) -> int:
        """Consecutive images of a class that share a stored row, and are only dropped together."""
        return 1

    @model_validator(mode="after")
    def _rows_are_whole(self) -> Self:
        each = self.images_per_row
        if any(count % each for count in self.counts):
            raise PydanticCustomError(
                "partial_row",
                "instances {given} is not a multiple of the {each} images of a stored row",
                {"given": in_words(self.instances), "each": each},
            )
        return self
