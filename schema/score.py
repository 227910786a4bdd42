"""Scores: results of evaluations, as recorded in a file."""

from typing import Annotated, Literal

from pydantic import FailFast, Field

from hmnpack.schema.base import Frozen, Sha256, ShortText
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.result import Percent


class Versions(Frozen):
    """Software versions of an evaluation."""

    hmnpack: ShortText = Field(description="Version of hmnpack.")
    torch: ShortText = Field(description="Version of torch.")
    torchvision: ShortText = Field(description="Version of torchvision.")
    python: ShortText = Field(description="Version of Python.")


class BaselineScore(Frozen):
    """A baseline: networks trained on other images by the protocol of the score."""

    name: ShortText = Field(description="Training data of the networks.")
    images: int = Field(ge=1, description="Number of training images.")
    mean: Percent = Field(description="Mean test accuracy, in percent.")
    std: float = Field(
        ge=0, description="Sample standard deviation, in percentage points; 0 for one network."
    )
    networks: int = Field(ge=1, description="Number of networks trained.")


class Score(Frozen):
    """Result of one evaluation: the accuracies, and the settings that reproduce them."""

    protocol: ShortText = Field(description="Name of the protocol that networks were trained by.")
    config: Opaque | None = Field(
        default=None,
        description="Settings that differ from the protocol's for the data and the budget. Readers "
        "show them without validation.",
    )
    network: ShortText = Field(description="Architecture of the networks.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of every random stream.")
    data: ShortText = Field(description="Name of the dataset used for testing.")
    held_out: bool = Field(
        description="Whether networks were tested on the held-out images of the training split "
        "instead of the test split."
    )
    fingerprint: Sha256 = Field(description="Fingerprint of the test images.")
    images: int = Field(ge=1, description="Number of training images.")
    accuracies: Annotated[tuple[Percent, ...], FailFast()] = Field(
        min_length=1,
        description="Test accuracy of each network after its last epoch, in percent.",
    )
    versions: Versions | None = Field(default=None, description="Software versions, if recorded.")
    device: ShortText | None = Field(
        default=None, description="Kind of device, if recorded: cpu, cuda, ..."
    )
    arithmetic: Literal["bfloat16", "float32"] | None = Field(
        default=None,
        description="Floating-point type of the networks, if recorded; with `auto` it depends on "
        "the device.",
    )
    baselines: Annotated[tuple[BaselineScore, ...], FailFast()] = Field(
        default=(), description="Baselines trained by the same protocol."
    )

    @property
    def tested_on(self) -> str:
        """What networks were tested on: a dataset's name, or its held-out images."""
        return f"images held out of {self.data}" if self.held_out else self.data
