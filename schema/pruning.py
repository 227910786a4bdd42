"""How images were chosen from more, and how hard each of them is to learn."""

from typing import Annotated

from pydantic import FailFast, Field

from hmnpack.schema.base import Frozen, ShortText
from hmnpack.schema.instances import Instances
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.result import Percent
from hmnpack.schema.training import Fraction

MARGIN_UNITS = 10_000
"""Units in a margin of 1; margins are stored as whole units, so that many fit into a header."""

MAX_MARGINS = 100_000
"""Most images whose margins are stored: 700 kB of a header, which has 1 MiB at most."""

MAX_LISTED = 900_000
"""Most bytes of a header that class names and margins take; the rest is for all else."""


class Margins(Frozen):
    """How hard each image is to learn: a statistic of the images, not part of the data."""

    epochs: int = Field(ge=1, description="Epochs of the trainings that margins were taken in.")
    seeds: int = Field(ge=1, description="Trainings that each margin is the mean of.")
    values: Annotated[
        tuple[Annotated[int, Field(ge=-MARGIN_UNITS, le=MARGIN_UNITS)], ...], FailFast()
    ] = Field(
        min_length=1,
        max_length=MAX_MARGINS,
        description="Of each image, in their order: its mean margin over the epochs (probability "
        "of its class less the greatest of another), in ten-thousandths; times the epochs it is "
        "the area under the margin.",
    )

    @property
    def areas(self) -> tuple[float, ...]:
        """Area under the margin of each image, from -epochs to epochs; low ones are hard."""
        return tuple(value * self.epochs / MARGIN_UNITS for value in self.values)


class BetaScore(Frozen):
    """How well the images that one beta leaves teach."""

    beta: Fraction = Field(description="Part of the dropped images that were the hardest.")
    accuracies: tuple[Percent, ...] = Field(
        min_length=1, description="Of each network on held-out real images, in percent."
    )


class Pruning(Frozen):
    """How the images were chosen from more."""

    strategy: ShortText = Field(description="Name of the rule by which images were dropped.")
    config: Opaque | None = Field(
        default=None,
        description="What differs from the default settings of pruning; readers show it and do "
        "not validate it.",
    )
    seed: int = Field(ge=0, lt=2**63, description="Seed of every random stream.")
    instances: Instances = Field(
        description="Images that were chosen from: of each class, or one number for every class."
    )
    beta: Fraction | None = Field(
        default=None,
        description="Part of the dropped images that were the hardest of their class; absent if "
        "the strategy has none.",
    )
    held_out: int = Field(
        ge=0, description="Held-out real images that beta was chosen by; 0: none."
    )
    scores: Annotated[tuple[BetaScore, ...], FailFast()] = Field(
        default=(), description="What each beta came to, where it was chosen."
    )
