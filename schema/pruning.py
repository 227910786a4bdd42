"""Records of pruning, and the margins that state how hard each image is to learn."""

from typing import Annotated

from pydantic import FailFast, Field

from hmnpack.schema.base import Frozen, ShortText
from hmnpack.schema.instances import Instances
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.result import Percent
from hmnpack.schema.training import Fraction

MARGIN_UNITS = 10_000
"""Units per margin of 1. Margins are stored as integers, which take less space in the header."""

MAX_MARGINS = 100_000
"""Maximum number of stored margins: 700 kB of a header, whose limit is 1 MiB."""

MAX_LISTED = 900_000
"""Maximum bytes of class names and margins in a header; the rest is for all other keys."""


class Margins(Frozen):
    """Learning difficulty of each image: a statistic of the images, not part of the data."""

    epochs: int = Field(ge=1, description="Epochs of each training that measured margins.")
    seeds: int = Field(ge=1, description="Number of trainings that margins are averaged over.")
    values: Annotated[
        tuple[Annotated[int, Field(ge=-MARGIN_UNITS, le=MARGIN_UNITS)], ...], FailFast()
    ] = Field(
        min_length=1,
        max_length=MAX_MARGINS,
        description="Mean margin over the epochs, per image, in ten-thousandths. The margin is the "
        "predicted probability of the true class minus the highest of any other class. The mean "
        "times the epochs is the area under the margin.",
    )

    @property
    def areas(self) -> tuple[float, ...]:
        """Area under the margin per image, from -epochs to epochs; low for hard images."""
        return tuple(value * self.epochs / MARGIN_UNITS for value in self.values)


class BetaScore(Frozen):
    """Accuracy of networks trained on the images that remain after pruning with one beta."""

    beta: Fraction = Field(description="Hardest images as a fraction of the dropped images.")
    accuracies: tuple[Percent, ...] = Field(
        min_length=1,
        description="Accuracy of each network on held-out real images, in percent.",
    )


class Pruning(Frozen):
    """One pruning step."""

    strategy: ShortText = Field(description="Strategy that selected the images to drop.")
    config: Opaque | None = Field(
        default=None,
        description="Settings that differ from the default pruning settings. Readers show them "
        "without validation.",
    )
    seed: int = Field(ge=0, lt=2**63, description="Seed of every random stream.")
    instances: Instances = Field(
        description="Images before pruning: one integer for every class, or one per class."
    )
    beta: Fraction | None = Field(
        default=None,
        description="Hardest images as a fraction of the dropped images of each class; absent if "
        "the strategy has no beta.",
    )
    held_out: int = Field(
        ge=0, description="Held-out real images that beta was chosen on; 0: it was not chosen."
    )
    scores: Annotated[tuple[BetaScore, ...], FailFast()] = Field(
        default=(), description="Accuracy per candidate beta, if beta was chosen."
    )
