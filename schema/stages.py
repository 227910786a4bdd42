"""The stages of a run, in their order: what each is, and when a run has it.

A new stage is a title, a row in :func:`stages_of`, and, if it fits the container, the objective
that it is fitted to (:mod:`hmnpack.condensing.objectives`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

from hmnpack.schema.config import BY_MARGIN, CompressConfig, GradientConfig, NetworkConfig

StageName = Literal["pool", "warm-up", "matching", "gradient", "pruning"]
"""Name of a stage in logs, checkpoints and `plan --json`."""

TITLES: dict[StageName, str] = {
    "pool": "pool",
    "warm-up": "warm-up",
    "matching": "feature matching",
    "gradient": "gradient matching",
    "pruning": "pruning",
}
"""Name -> title for people, of every stage, in the order of a run."""

FITTED: tuple[StageName, ...] = ("warm-up", "matching", "gradient")
"""The stages that fit the container by optimiser steps; the others train networks alone."""

BETAS = (0.9, 0.99)
"""Adam's decays of the mean gradient and of the squared one (paper appendix C.2)."""

DROPS = (Fraction(6, 10), Fraction(8, 10))
"""Parts of the networks after which the rate of gradient matching falls (paper appendix C.2)."""


@dataclass(frozen=True)
class Stage:
    """A stage that a run has.

    Attributes:
        name: In logs, checkpoints and `plan --json`.
        steps: Adam steps on the container; 0: it trains networks alone.
        learning_rate: The rate of a step, counted from 0, where there are steps.
        betas: Adam's decays of the mean gradient and of the squared one.
        network: Architecture of the networks that it trains; None: it trains none.
        uses_pool: Whether it matches through the networks of the pool.
        is_probed: Whether quick networks may be trained on its images, evenly over its steps.
    """

    name: StageName
    steps: int = 0
    learning_rate: Callable[[int], float] = lambda _: 0.0
    betas: tuple[float, float] = BETAS
    network: NetworkConfig | None = None
    uses_pool: bool = False
    is_probed: bool = False

    @property
    def title(self) -> str:
        """The stage's name for people."""
        return TITLES[self.name]


def stages_of(config: CompressConfig) -> tuple[Stage, ...]:
    """Return the stages that a run with these settings has, in their order.

    Example:
        >>> from hmnpack.schema.recipes import FAST
        >>> [(stage.name, stage.steps) for stage in stages_of(FAST)]
        [('pool', 0), ('warm-up', 300), ('matching', 2300)]
    """
    fitted = [stage for stage in _fitted(config) if stage.steps]
    stages = []
    if any(stage.uses_pool for stage in fitted):
        stages.append(Stage("pool", network=config.pool.network))
    stages += fitted
    if config.prune.strategy != "none":
        by_margin = config.prune.strategy in BY_MARGIN
        stages.append(Stage("pruning", network=config.prune.network if by_margin else None))
    return tuple(stages)


def has_stage(config: CompressConfig, name: StageName) -> bool:
    """Return whether a run with these settings has a stage."""
    return any(stage.name == name for stage in stages_of(config))


def _fitted(config: CompressConfig) -> tuple[Stage, ...]:
    """Return the stages of optimiser steps, also those that have none."""
    warmup, match, gradient = config.warmup, config.match, config.gradient
    return (
        Stage(
            "warm-up",
            warmup.steps if warmup.images != "none" else 0,
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


def _cosine(lr: float, steps: int, step: int) -> float:
    """Return the rate of a step that falls from ``lr`` to 0 by half a cosine."""
    return lr * ((1 + math.cos(math.pi * step / steps)) / 2)


def _dropping(config: GradientConfig, step: int) -> float:
    """Return the rate of a step that falls to a tenth after each of the drops."""
    network = step // config.inner_steps
    return config.lr * 0.1 ** sum(network >= part * config.networks for part in DROPS)
