"""Settings of an evaluation: networks, their training, and baselines."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.names import BaselineRow, Protocol

DEFAULT_ROWS: tuple[BaselineRow, ...] = ("floats", "bytes")
"""The baselines within the bundle's budget."""


class EvaluateConfig(Frozen):
    """Evaluation of a bundle: networks trained from scratch on its images, then tested."""

    protocol: Protocol = Field(
        default="short", description="Name of the protocol that these settings started from."
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of the networks."
    )
    train: TrainConfig = Field(
        default=TrainConfig(epochs=300, weight_decay=0.0002),
        description="Training settings of each network (paper appendix C.2).",
    )
    repeats: int = Field(default=3, ge=1, le=1000, description="Networks per row of the table.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random stream.")
    baselines: bool = Field(
        default=True, description="Also train baselines on real images; `rows` selects them."
    )
    rows: tuple[BaselineRow, ...] = Field(
        default=(),
        max_length=4,
        description="Baselines: `floats`, random real images within the same float budget; "
        "`bytes`, JPEG images within the same number of bytes (shared JPEG tables not counted); "
        "`count`, random real images, as many as the bundle holds; `whole`, the full dataset. All "
        "except `whole` are trained for the bundle's number of steps. Empty: `floats` and `bytes`.",
    )
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = Field(
        default=None,
        description="JPEG quality of the `bytes` baseline; null: the best of a few qualities on "
        "held-out images.",
    )
    min_steps: int = Field(
        default=1000,
        ge=0,
        description="Minimum optimiser steps; for few images, epochs are added to reach it.",
    )
    held_out: bool = Field(
        default=False,
        description="Test on the held-out images of the training split instead of the test split, "
        "which is then not used; baselines are drawn from the other training images.",
    )

    @property
    def baseline_rows(self) -> tuple[BaselineRow, ...]:
        """The baselines to train."""
        return (self.rows or DEFAULT_ROWS) if self.baselines else ()

    def tested_on(self, data: str) -> str:
        """Return what networks are tested on: a dataset's name, or its held-out images."""
        return f"images held out of {data}" if self.held_out else data
