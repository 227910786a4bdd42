"""Settings of the networks that are trained while they are matched through."""

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.training import MATCHING_AUGMENTATIONS, NetworkConfig, TrainConfig


class QueueConfig(Frozen):
    """A queue of networks: new ones come in untrained, some train on after each step (IDM)."""

    size: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Networks at most, the oldest of more goes; 0: no queue, but the pool.",
    )
    first: int = Field(default=3, ge=1, le=1000, description="Networks at the first step.")
    every: int = Field(default=30, ge=1, description="Steps from one new network to the next.")
    trained: int = Field(
        default=2, ge=0, le=1000, description="Networks that train after each step, drawn anew."
    )
    steps: int = Field(
        default=10, ge=1, description="Optimiser steps of each of them; momentum begins at 0."
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="Architecture of every network."
    )
    train: TrainConfig = Field(
        default=TrainConfig(
            epochs=0, batch=256, schedule="constant", augment=MATCHING_AUGMENTATIONS, cutmix=0.0
        ),
        description="How: batch, rate `lr`, momentum, augmentation; there are no epochs.",
    )
