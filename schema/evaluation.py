"""Settings of judging a bundle: networks, their training, and the baselines beside it."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.names import BaselineRow, Protocol

DEFAULT_ROWS: tuple[BaselineRow, ...] = ("floats", "bytes")
"""The baselines that share the bundle's budget."""


class EvaluateConfig(Frozen):
    """How a bundle is judged: networks trained from scratch on its images, then tested."""

    protocol: Protocol = Field(
        default="short", description="Name of the protocol that these settings started from."
    )
    network: NetworkConfig = Field(default=NetworkConfig(), description="Network to train.")
    train: TrainConfig = Field(
        default=TrainConfig(epochs=300, weight_decay=0.0002),
        description="How each network is trained (paper appendix C.2).",
    )
    repeats: int = Field(default=3, ge=1, le=1000, description="Networks per row of the table.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random stream.")
    baselines: bool = Field(default=True, description="Also train on real images, see `rows`.")
    rows: tuple[BaselineRow, ...] = Field(
        default=(),
        max_length=4,
        description="Baselines: `floats`, as many random real images as the budget of floats "
        "holds; `bytes`, as many JPEG pictures (without the tables that all share) as the same "
        "number of bytes holds; `count`, as many random real images as the bundle decodes; "
        "`whole`, all real images. All but `whole` are trained for the bundle's number of steps. "
        "Empty: the first two.",
    )
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = Field(
        default=None,
        description="Quality of the JPEG baseline's files; null: the best of a few on images held "
        "out of train.",
    )
    min_steps: int = Field(
        default=1000,
        ge=0,
        description="Fewest optimiser steps: where the images are few, epochs are added until "
        "this is reached.",
    )
    held_out: bool = Field(
        default=False,
        description="Test on the images of train that condensing never saw, in place of the test "
        "split, which is not looked at; baselines are drawn from those that it saw.",
    )

    @property
    def baseline_rows(self) -> tuple[BaselineRow, ...]:
        """The baselines that are wanted."""
        return (self.rows or DEFAULT_ROWS) if self.baselines else ()

    def tested_on(self, data: str) -> str:
        """Return what networks are tested on, in words: a data set's name, or held-out images."""
        return f"images held out of {data}" if self.held_out else data
