"""Scores: what networks learned from the images, as a file records it."""

from typing import Annotated, Literal

from pydantic import FailFast, Field

from hmnpack.schema.base import Frozen, Sha256, ShortText
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.result import Percent


class Versions(Frozen):
    """The software that an evaluation ran on."""

    hmnpack: ShortText = Field(description="Version of hmnpack.")
    torch: ShortText = Field(description="Version of torch.")
    torchvision: ShortText = Field(description="Version of torchvision.")
    python: ShortText = Field(description="Version of Python.")


class BaselineScore(Frozen):
    """What networks learned, by the protocol of a score, from something else than its images."""

    name: ShortText = Field(description="What they were trained on.")
    images: int = Field(ge=1, description="Training images.")
    mean: Percent = Field(description="Mean test accuracy, in percent.")
    std: float = Field(
        ge=0, description="Its sample standard deviation, in points; 0 for one network."
    )
    networks: int = Field(ge=1, description="Networks trained.")


class Score(Frozen):
    """One row of an evaluation: what was trained on, how, and how well it did."""

    protocol: ShortText = Field(description="Name of the settings that networks were trained by.")
    config: Opaque | None = Field(
        default=None,
        description="What differs from the protocol's settings for the data and the budget; "
        "readers show it and do not validate it.",
    )
    network: ShortText = Field(description="Name of the network.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of every random stream.")
    data: ShortText = Field(description="Name of the data set that was tested on.")
    held_out: bool = Field(
        description="Whether networks were tested on the images of train that condensing never "
        "saw, in place of the test split."
    )
    fingerprint: Sha256 = Field(description="Fingerprint of the images that were tested on.")
    images: int = Field(ge=1, description="Training images.")
    accuracies: Annotated[tuple[Percent, ...], FailFast()] = Field(
        min_length=1,
        description="Accuracy of each network on them after its last epoch, in percent.",
    )
    versions: Versions | None = Field(default=None, description="What it ran on, if recorded.")
    device: ShortText | None = Field(
        default=None, description="Kind of device, if recorded: cpu, cuda, ..."
    )
    arithmetic: Literal["bfloat16", "float32"] | None = Field(
        default=None, description="What networks ran in, if recorded: `auto` depends on the device."
    )
    baselines: Annotated[tuple[BaselineScore, ...], FailFast()] = Field(
        default=(), description="The rows beside it."
    )

    @property
    def tested_on(self) -> str:
        """What networks were tested on, in words: a data set's name, or held-out images."""
        return f"images held out of {self.data}" if self.held_out else self.data
