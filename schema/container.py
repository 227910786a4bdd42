"""Container specifications: the sizes and choices that a reader needs to decode the images.

Shape legend: N images, K classes, C channels, H height, W width, M side of a memory grid.
"""

import re
from functools import partial
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.hallucinator import HallucinatorSpec
from hmnpack.schema.ledger import Coding, Dtype, FloatDtype, Ledger, TensorRow
from hmnpack.schema.linear_basis import LinearBasisSpec
from hmnpack.schema.multi_formation import MultiFormationSpec
from hmnpack.schema.stored import MAX_ENLARGEMENT, ImageShape, Stored, Width

__all__ = [
    "CODINGS",
    "MAX_ENLARGEMENT",
    "Activation",
    "ContainerSpec",
    "HallucinatorSpec",
    "HmnSpec",
    "ImageShape",
    "ImagesSpec",
    "LinearBasisSpec",
    "MultiFormationSpec",
    "OtherSpec",
]

MAX_LAYER_ELEMENTS = 2**28
"""Maximum elements of one decoder layer for one image."""

MAX_MATRIX_ELEMENTS = 2**28
"""Maximum elements of one decoder layer, written as a matrix from row pair to row pair."""

MAX_SHARED_ELEMENTS = 2**30
"""Maximum elements of the first decoder layer's input or output for all classes together."""

Activation = Literal["relu", "gelu"]


class HmnSpec(Stored):
    """A Hierarchical Memory Network (paper section 3.1, appendix C.1)."""

    kind: Literal["hmn/1"] = Field(default="hmn/1", description="Kind of container.")
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats. With `I8` only the memories are 8-bit integers, "
        "extractors and decoder are `F16`. Decoding is done in binary32.",
    )
    grid: int = Field(ge=1, le=256, description="Side M of every memory, in cells.")
    dataset_channels: Width = Field(description="Channels of the dataset memory.")
    class_channels: Width = Field(description="Channels of each class memory.")
    instance_channels: Width = Field(description="Channels of each instance memory.")
    extractor_channels: Width | None = Field(
        default=None,
        description="Output channels of each class's extractor, a 1x1 convolution of the dataset "
        "memory; null: identity.",
    )
    decoder_channels: tuple[Width, ...] = Field(
        max_length=8,
        description="Output channels of all decoder layers except the last, which outputs the "
        "image. Each layer doubles the side.",
    )
    activation: Activation = Field(description="Activation function between decoder layers.")
    output: Literal["sigmoid"] = Field(
        default="sigmoid",
        description="Function after the decoder's last layer and the resize, which gives pixels.",
    )

    @model_validator(mode="after")
    def _is_not_enlarged_beyond_reason(self) -> Self:
        if self.image.side > MAX_ENLARGEMENT * self.decoded_side:
            raise PydanticCustomError(
                "too_large",
                "the decoder's output of side {before} would be resized to {after}, more than the "
                "maximum factor of {limit}",
                {"before": self.decoded_side, "after": self.image.side, "limit": MAX_ENLARGEMENT},
            )
        return self

    @model_validator(mode="after")
    def _decodes_in_bounded_memory(self) -> Self:
        before, after = self.shared_channels, 4 * self.layer_channels[1]
        shared = self.classes * max(before, after) * self.grid**2
        for what, elements, limit in (
            ("a decoder layer of one image", self.largest_layer, MAX_LAYER_ELEMENTS),
            ("a decoder layer's matrix", self.largest_matrix, MAX_MATRIX_ELEMENTS),
            ("the first decoder layer of all classes", shared, MAX_SHARED_ELEMENTS),
        ):
            if elements > limit:
                raise PydanticCustomError(
                    "too_large",
                    "{what} would have {elements} elements, more than the maximum of {limit}",
                    {"what": what, "elements": elements, "limit": limit},
                )
        return self

    @property
    def decoded_side(self) -> int:
        """Side of the decoder's square output, before any resize, in pixels."""
        return int(self.grid * 2 ** (len(self.decoder_channels) + 1))

    @property
    def shared_channels(self) -> int:
        """Decoder input channels that are shared by all images of a class."""
        return (self.extractor_channels or self.dataset_channels) + self.class_channels

    @property
    def layer_channels(self) -> tuple[int, ...]:
        """Channels of the decoder's input, between its layers, and of its output."""
        return (
            self.shared_channels + self.instance_channels,
            *self.decoder_channels,
            self.image.channels,
        )

    @property
    def largest_layer(self) -> int:
        """Maximum elements of the decoder's input, any layer or output, for one image."""
        layers = enumerate(self.layer_channels)
        return max(width * (self.grid << depth) ** 2 for depth, width in layers)

    @property
    def largest_matrix(self) -> int:
        """Elements of the largest layer as a matrix from input row pair to output row pair."""
        pairs = enumerate(zip(self.layer_channels, self.layer_channels[1:], strict=False))
        return max(8 * (self.grid << depth) ** 2 * cin * cout for depth, (cin, cout) in pairs)

    def ledger(self) -> Ledger:
        """Return one row per tensor stored by a bundle with this container."""
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


class ImagesSpec(Stored):
    """Plain pixels as stored floats: the baseline container."""

    kind: Literal["images/1"] = Field(default="images/1", description="Kind of container.")
    dtype: FloatDtype = Field(
        default="F32", description="Type of the stored floats. Decoding is done in binary32."
    )

    @property
    def summary(self) -> str:
        """One line about the sizes."""
        return "plain pixels"

    def ledger(self) -> Ledger:
        """Return the single row of the stored pixels."""
        shape = (self.images, self.image.channels, self.image.height, self.image.width)
        return Ledger(rows=(TensorRow.of("pixels", "pixels", *shape, dtype=self.dtype),))


class OtherSpec(Stored):
    """A container kind or coding that this version does not decode.

    Its additional keys are preserved. The file can be inspected and its hashes verified.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    kind: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}/[1-9][0-9]{0,3}$", description="Kind of container."
    )
    dtype: Coding = Field(description="Coding of the stored floats.")

    @property
    def summary(self) -> str:
        """One line about the container."""
        return f"in {self.dtype}: this version cannot decode it, a newer version may"

    def ledger(self) -> Ledger:
        """Raise NotImplementedError: only the file's own ledger describes its tensors."""
        raise NotImplementedError(f"{self.kind} in {self.dtype}: see the manifest's ledger")


CODINGS: dict[str, tuple[str, ...]] = {
    "hmn/1": (*get_args(FloatDtype), "I8"),
    "images/1": get_args(FloatDtype),
    "multi-formation/1": get_args(Dtype),
    "linear-basis/1": get_args(Dtype),
    "hallucinator/1": get_args(Dtype),
}
"""Container kind -> codings, for all that this version decodes."""


def _known(value: object) -> str:
    """Return the kind of a container if this version decodes it, else ``other``."""
    read = value.get if isinstance(value, dict) else partial(getattr, value)
    kind, dtype = read("kind", None), read("dtype", None)
    if not isinstance(kind, str) or kind not in CODINGS:
        return "other"
    # An invalid coding name is an error in a known container, not a newer coding of it.
    is_coding = isinstance(dtype, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{0,15}", dtype)
    return "other" if is_coding and dtype not in CODINGS[kind] else kind


ContainerSpec = Annotated[
    Annotated[HmnSpec, Tag("hmn/1")]
    | Annotated[ImagesSpec, Tag("images/1")]
    | Annotated[MultiFormationSpec, Tag("multi-formation/1")]
    | Annotated[LinearBasisSpec, Tag("linear-basis/1")]
    | Annotated[HallucinatorSpec, Tag("hallucinator/1")]
    | Annotated[OtherSpec, Tag("other")],
    Discriminator(_known),
]
