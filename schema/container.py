"""What a container is made of: the sizes and choices that a reader needs to decode it.

Shape legend: N images, K classes, C channels, H height, W width, M side of a memory grid.
"""

import re
from functools import partial
from itertools import accumulate
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Frozen
from hmnpack.schema.instances import MAX_CLASSES, Instances, check_length, in_words
from hmnpack.schema.ledger import Coding, Dtype, FloatDtype, Ledger, TensorRow

MAX_DECODED_ELEMENTS = 2**34
"""Most pixels-times-channels that all images of one bundle may decode to."""

MAX_LAYER_ELEMENTS = 2**28
"""Most numbers that one layer of a decoder may have for one image."""

MAX_MATRIX_ELEMENTS = 2**28
"""Most numbers in one layer of a decoder, written as a matrix from row pair to row pair."""

MAX_SHARED_ELEMENTS = 2**30
"""Most numbers in what all classes together feed into, or get from, the decoder's first layer."""

MAX_ENLARGEMENT = 8
"""Most that the final resize may enlarge a side (ImageNet-10 of the paper: 224 / 96)."""

Activation = Literal["relu", "gelu"]
Width = Annotated[int, Field(ge=1, le=4096)]


class ImageShape(Frozen):
    """Shape of every image of a set: C x H x W."""

    channels: int = Field(ge=1, le=16, description="Colour channels C of an image: 1 or 3.")
    height: int = Field(ge=1, le=4096, description="Height H of an image, in pixels.")
    width: int = Field(ge=1, le=4096, description="Width W of an image, in pixels.")

    @property
    def elements(self) -> int:
        """Numbers in one image."""
        return self.channels * self.height * self.width

    @property
    def side(self) -> int:
        """The longer side, in pixels."""
        return max(self.height, self.width)


class _Stored(Frozen):
    """What containers have in common."""

    classes: int = Field(ge=1, le=MAX_CLASSES, description="Number of classes K.")
    instances: Instances = Field(
        description="Images of each class: one number, or K numbers that are not all equal. Images "
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
                "{images} images would decode to {decoded} numbers, more than the {limit} that a "
                "reader accepts",
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
        """Images of the class that has the fewest."""
        return self.instances if isinstance(self.instances, int) else min(self.instances)

    @property
    def largest(self) -> int:
        """Images of the class that has the most."""
        return self.instances if isinstance(self.instances, int) else max(self.instances)

    @property
    def each(self) -> int:
        """Images of every class, where all have equally many, as while they are condensed.

        Raises:
            ValueError: if they have not.
        """
        if isinstance(self.instances, int):
            return self.instances
        raise ValueError(f"classes have {in_words(self.instances)} images, not equally many")


class HmnSpec(_Stored):
    """A Hierarchical Memory Network (paper section 3.1, appendix C.1)."""

    kind: Literal["hmn/1"] = Field(default="hmn/1", description="Which container this is.")
    dtype: Dtype = Field(
        default="F32",
        description="Type of every stored number, but that with `I8` those of extractors and "
        "decoder are `F16`; all are decoded in binary32.",
    )
    grid: int = Field(ge=1, le=256, description="Side M of every memory, in cells.")
    dataset_channels: Width = Field(description="Channels of the data set's memory.")
    class_channels: Width = Field(description="Channels of each class's memory.")
    instance_channels: Width = Field(description="Channels of each image's memory.")
    extractor_channels: Width | None = Field(
        default=None,
        description="Output channels of each class's 1x1 convolution of the data set's memory; "
        "null for the identity.",
    )
    decoder_channels: tuple[Width, ...] = Field(
        max_length=8,
        description="Output channels of the decoder's layers but the last, whose output is the "
        "image; each layer doubles the side.",
    )
    activation: Activation = Field(description="Function between the decoder's layers.")
    output: Literal["sigmoid"] = Field(
        default="sigmoid",
        description="Function after the decoder's last layer and the resize, which gives pixels.",
    )

    @model_validator(mode="after")
    def _is_not_enlarged_beyond_reason(self) -> Self:
        if self.image.side > MAX_ENLARGEMENT * self.decoded_side:
            raise PydanticCustomError(
                "too_large",
                "images of side {before} would be resized to {after}, more than {limit} times as "
                "large",
                {"before": self.decoded_side, "after": self.image.side, "limit": MAX_ENLARGEMENT},
            )
        return self

    @model_validator(mode="after")
    def _decodes_in_bounded_memory(self) -> Self:
        before, after = self.shared_channels, 4 * self.layer_channels[1]
        shared = self.classes * max(before, after) * self.grid**2
        for what, numbers, limit in (
            ("a layer of one image", self.largest_layer, MAX_LAYER_ELEMENTS),
            ("a layer's matrix", self.largest_matrix, MAX_MATRIX_ELEMENTS),
            ("the first layer of all classes", shared, MAX_SHARED_ELEMENTS),
        ):
            if numbers > limit:
                raise PydanticCustomError(
                    "too_large",
                    "{what} would hold {numbers} numbers, more than the {limit} that a reader "
                    "accepts",
                    {"what": what, "numbers": numbers, "limit": limit},
                )
        return self

    @property
    def decoded_side(self) -> int:
        """Side of the square image that leaves the decoder, before any resize, in pixels."""
        return int(self.grid * 2 ** (len(self.decoder_channels) + 1))

    @property
    def shared_channels(self) -> int:
        """Decoder input channels that all images of a class have in common."""
        return (self.extractor_channels or self.dataset_channels) + self.class_channels

    @property
    def layer_channels(self) -> tuple[int, ...]:
        """Channels before, between and after the decoder's layers."""
        return (
            self.shared_channels + self.instance_channels,
            *self.decoder_channels,
            self.image.channels,
        )

    @property
    def largest_layer(self) -> int:
        """Numbers of one image in the decoder's largest layer, input and output included."""
        layers = enumerate(self.layer_channels)
        return max(width * (self.grid << depth) ** 2 for depth, width in layers)

    @property
    def largest_matrix(self) -> int:
        """Numbers in the largest layer, as a matrix from input row pair to output row pair."""
        pairs = enumerate(zip(self.layer_channels, self.layer_channels[1:], strict=False))
        return max(8 * (self.grid << depth) ** 2 * cin * cout for depth, (cin, cout) in pairs)

    def ledger(self) -> Ledger:
        """Return the rows of the tensors that a bundle with this container stores."""
        side, k = self.grid, self.classes
        memory = partial(TensorRow.of, dtype=self.dtype)
        row = partial(TensorRow.of, dtype="F16" if self.dtype == "I8" else self.dtype)
        rows = [
            memory("memory.dataset", "dataset memory", self.dataset_channels, side, side),
            memory("memory.class", "class memory", k, self.class_channels, side, side),
            memory(
                "memory.instance",
                "instance memory",
                *(self.images, self.instance_channels, side, side),
            ),
        ]
        if self.extractor_channels is not None:
            out, channels = self.extractor_channels, self.dataset_channels
            rows.append(row("extractor.weight", "extractor", k, out, channels))
            rows.append(row("extractor.bias", "extractor", k, out))
        pairs = zip(self.layer_channels, self.layer_channels[1:], strict=False)
        for index, (before, after) in enumerate(pairs):
            rows.append(row(f"decoder.{index}.weight", "decoder", before, after, 4, 4))
            rows.append(row(f"decoder.{index}.bias", "decoder", after))
        return Ledger(rows=tuple(rows))


class ImagesSpec(_Stored):
    """Plain pixels as stored floats: the baseline container."""

    kind: Literal["images/1"] = Field(default="images/1", description="Which container this is.")
    dtype: FloatDtype = Field(
        default="F32", description="Type of every stored number; it is decoded in binary32."
    )

    def ledger(self) -> Ledger:
        """Return the one row of the stored pixels."""
        shape = (self.images, self.image.channels, self.image.height, self.image.width)
        return Ledger(rows=(TensorRow.of("pixels", "pixels", *shape, dtype=self.dtype),))


class OtherSpec(_Stored):
    """A container, or a coding of its numbers, that this version does not decode.

    Its own keys are kept as they are. A file of it can be looked into, and its bytes be checked.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    kind: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}/[1-9][0-9]{0,3}$", description="Which container this is."
    )
    dtype: Coding = Field(description="How its numbers are coded.")

    def ledger(self) -> Ledger:
        """Refuse: what a file stores of it stands in the file's own ledger."""
        raise NotImplementedError(f"{self.kind} in {self.dtype}: see the manifest's ledger")


CODINGS: dict[str, tuple[str, ...]] = {
    "hmn/1": (*get_args(FloatDtype), "I8"),
    "images/1": get_args(FloatDtype),
}
"""Kinds of containers that this version decodes, and the codings of numbers of each."""


def _known(value: object) -> str:
    """Return the kind of a container that this version decodes, or ``other``."""
    read = value.get if isinstance(value, dict) else partial(getattr, value)
    kind, dtype = read("kind", None), read("dtype", None)
    if not isinstance(kind, str) or kind not in CODINGS:
        return "other"
    # What is no name of a coding at all is a fault of a container that is known.
    is_coding = isinstance(dtype, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{0,15}", dtype)
    return "other" if is_coding and dtype not in CODINGS[kind] else kind


ContainerSpec = Annotated[
    Annotated[HmnSpec, Tag("hmn/1")]
    | Annotated[ImagesSpec, Tag("images/1")]
    | Annotated[OtherSpec, Tag("other")],
    Discriminator(_known),
]
