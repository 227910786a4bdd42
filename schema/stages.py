"""The stages of a run in order: steps and schedule of each, and whether a run includes it.

To add a stage, add its title, an entry in :func:`stages_of` and, if it fits the container, its
objective (:mod:`hmnpack.condensing.objectives`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

from hmnpack.schema.config import (
    BY_MARGIN,
    CompressConfig,
    ContainerConfig,
    GradientConfig,
    NetworkConfig,
)
from hmnpack.schema.kinds import OF_PIXELS
from hmnpack.schema.rival import RivalConfig

StageName = Literal["pool", "warm-up", "matching", "gradient", "rival", "pruning"]
"""Name of a stage in logs, checkpoints and `plan --json`."""

TITLES: dict[StageName, str] = {
    "pool": "pool",
    "warm-up": "warm-up",
    "matching": "feature matching",
    "gradient": "gradient matching",
    "rival": "matching by the rival method",
    "pruning": "pruning",
}
"""Stage name -> human-readable title, in the order of a run."""

FITTED: tuple[StageName, ...] = ("warm-up", "matching", "gradient", "rival")
"""Stages that fit the container by optimiser steps; the others only train networks."""

BETAS = (0.9, 0.99)
"""Adam's decay rates of the first and second moments (paper appendix C.2)."""

DROPS = (Fraction(6, 10), Fraction(8, 10))
"""Fractions of the networks after which gradient matching's rate drops (paper appendix C.2)."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: Name in logs, checkpoints and `plan --json`.
        steps: Steps on the container; 0 if the stage only trains networks.
        learning_rate: Step index, from 0 -> learning rate.
        sgd: Momentum of SGD, which takes the place of Adam; None: Adam.
        on_normalised: Whether that SGD steps on normalised pixels.
        network: Architecture of the networks that the stage trains; None: it trains none.
        needs_features: Whether that network must expose the features of its blocks.
        uses_pool: Whether the stage matches features of the pool's networks.
        is_probed: Whether probe networks can be trained on its images, at even intervals.
    """

    name: StageName
    steps: int = 0
    learning_rate: Callable[[int], float] = lambda _: 0.0
    sgd: float | None = None
    on_normalised: bool = False
    network: NetworkConfig | None = None
    needs_features: bool = False
    uses_pool: bool = False
    is_probed: bool = False

    @property
    def title(self) -> str:
        """Human-readable name of the stage."""
        return TITLES[self.name]


def stages_of(config: CompressConfig) -> tuple[Stage, ...]:
    """Return the stages of a run with these settings, in order.

    Example:
        >>> from hmnpack.schema.recipes import FAST
        >>> [(stage.name, stage.steps) for stage in stages_of(FAST)]
        [('pool', 0), ('warm-up', 300), ('matching', 2300)]
    """
    fitted = [stage for stage in _fitted(config) if stage.steps]
    stages = []
    if any(stage.uses_pool for stage in fitted):
        stages.append(Stage("pool", network=config.pool.network, needs_features=True))
    stages += fitted
    if config.prune.strategy != "none":
        by_margin = config.prune.strategy in BY_MARGIN
        stages.append(Stage("pruning", network=config.prune.network if by_margin else None))
    return tuple(stages)


def starts_from_real(config: CompressConfig) -> bool:
    """Return whether the container is first fitted to real images, by steps or in closed form."""
    return config.warmup.images != "none" and config.warmup.steps > 0


def has_stage(config: CompressConfig, name: StageName) -> bool:
    """Return whether a run with these settings includes a stage."""
    return any(stage.name == name for stage in stages_of(config))


def _fitted(config: CompressConfig) -> tuple[Stage, ...]:
    """Return the stages that fit the container, including those with 0 steps."""
    return (*_own(config), *(() if config.rival is None else (_rival(config, config.rival),)))


def _own(config: CompressConfig) -> tuple[Stage, ...]:
    """Return the warm-up and the stages of our own objectives."""
    warmup, match, gradient = config.warmup, config.match, config.gradient
    by_steps = isinstance(config.container, ContainerConfig)  # others start in closed form
    return (
        Stage(
            "warm-up",
            warmup.steps if by_steps and starts_from_real(config) else 0,
            partial(_cosine, warmup.lr, warmup.steps),
        ),
        Stage(
            "matching",
            match.steps,
            partial(_cosine, match.lr, match.steps),
            uses_pool=True,
            is_probed=True,
        ),
        Stage(
            "gradient",
            gradient.steps,
            partial(_dropping, gradient),
            network=gradient.network,
            is_probed=True,
        ),
    )


def _rival(config: CompressConfig, rival: RivalConfig) -> Stage:
    """Return the stage of a method to compare with: SGD on pixels, Adam on other parameters."""
    by_sgd = config.container.kind in OF_PIXELS
    lr = rival.lr if by_sgd else rival.adam_lr
    return Stage(
        "rival",
        rival.steps,
        lambda step: lr * rival.rate_factor(step),
        sgd=rival.momentum if by_sgd else None,
        on_normalised=rival.steps_on_normalised,
        network=rival.network,
        needs_features=rival.needs_features,
        is_probed=True,
    )


def _cosine(lr: float, steps: int, step: int) -> float:
    """Return the learning rate of a step on a half cosine from ``lr`` to 0."""
    return lr * ((1 + math.cos(math.pi * step / steps)) / 2)


def _dropping(config: GradientConfig, step: int) -> float:
    """Return the learning rate of a step, divided by 10 at each of ``DROPS``."""
    network = step // config.inner_steps
    return config.lr * 0.1 ** sum(network >= part * config.networks for part in DROPS)
