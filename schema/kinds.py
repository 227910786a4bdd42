"""Settings of the container, for every kind that ``compress`` makes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.container import CODINGS, Activation
from hmnpack.schema.hallucinator import HallucinatorConfig
from hmnpack.schema.images import ImagesConfig
from hmnpack.schema.ledger import Dtype
from hmnpack.schema.linear_basis import LinearBasisConfig
from hmnpack.schema.multi_formation import MultiFormationConfig


class ContainerConfig(Frozen):
    """Settings of an HMN that the paper leaves open, and the one size that it varies."""

    kind: Literal["hmn"] = Field(
        default="hmn",
        description="Kind of container: `hmn`, or that of a method to compare with: `images`, "
        "`multi-formation`, `linear-basis` or `hallucinator`. Each has settings of its own.",
    )
    activation: Activation = Field(
        default="relu", description="Activation function between decoder layers."
    )
    norm: Literal["batch", "none"] = Field(
        default="batch",
        description="Normalisation between decoder layers: batch statistics during the warm-up, "
        "frozen afterwards, and folded into the convolutions when the file is written.",
    )
    instance_channels: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Channels of each instance memory. More channels mean fewer images within the "
        "budget (paper figure 5). null: chosen by the planner.",
    )
    min_images: int = Field(
        default=0,
        ge=0,
        description="Target minimum of images per class: the planner reduces the channels of the "
        "instance memories, down to 1, until that many images fit the budget. 0: no target; "
        "unused if `instance_channels` is set.",
    )
    decoder_channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        default=None,
        description="Channels between decoder layers, from first to last: one value fewer than "
        "layers, two for CIFAR-10. Wider layers leave room for fewer images. null: chosen by the "
        "planner.",
    )
    decoder_width: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Target channels after the first decoder layer; the next layer scales in "
        "proportion. The planner widens the decoder towards it until the decoder takes a tenth "
        "of the budget. 0: do not widen; unused if `decoder_channels` is set.",
    )
    dtype: Dtype = Field(
        default="F32",
        description="Type of the stored floats, which are rounded when the file is written. `F16` "
        "halves the file size. `I8` (memories in 8 bits, the rest in 16) reduces it to between a "
        "quarter and two fifths, depending on the share of the decoder. The budget in floats "
        "does not change.",
    )


AnyContainerConfig = Annotated[
    ContainerConfig | ImagesConfig | MultiFormationConfig | LinearBasisConfig | HallucinatorConfig,
    Field(discriminator="kind"),
]
"""Settings of a container of any kind."""

CONTAINERS: dict[str, type[AnyContainerConfig]] = {
    "hmn": ContainerConfig,
    "images": ImagesConfig,
    "multi-formation": MultiFormationConfig,
    "linear-basis": LinearBasisConfig,
    "hallucinator": HallucinatorConfig,
}
"""Kind of container -> its settings."""

OF_PIXELS = ("images", "multi-formation")
"""Kinds whose parameters are pixels, on which methods to compare with step by SGD."""


def switched(settings: AnyContainerConfig, kind: str) -> AnyContainerConfig:
    """Return the settings of another kind of container: its defaults, and those that both have.

    A type of stored floats that the kind lacks, such as `I8` of plain images, becomes its default.

    Args:
        settings: Settings of a container of any kind.
        kind: Key of ``CONTAINERS``.
    """
    given: dict[str, Any] = settings.model_dump(exclude={"kind"})
    known = CONTAINERS[kind].model_fields
    if given["dtype"] not in CODINGS[f"{kind}/1"]:
        del given["dtype"]
    return CONTAINERS[kind](**{name: value for name, value in given.items() if name in known})


def kinds_with(name: str) -> list[str]:
    """Return the kinds of container that have a setting of this name."""
    return [kind for kind, settings in CONTAINERS.items() if name in settings.model_fields]
