"""The objective of each stage."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hmnpack.container import Container
from hmnpack.matching import (
    OBJECTIVES,
    RIVALS,
    GradientMatching,
    Match,
    Objective,
    Pool,
    RealData,
    Reconstruction,
    choose_targets,
)
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.stages import StageName


@dataclass(frozen=True)
class Inputs:
    """Inputs of a run's objectives.

    Attributes:
        real: The real images, with the parts of their classes if these are partitioned.
        spec: The container's spec.
        config: Settings of the run.
        pool: Networks for feature matching, in a run that has it.
        world: The ranks that share the classes.
        max_memory: Memory limit for one chunk of classes plus the view cache, in bytes;
            None: unlimited.
        check: Called on every rank after each training epoch of a network that a step needs, with
            the current activity; it may raise to pause.
        cache: The cache folder; None: nothing is cached.
        listener: Called with the progress of trainings that precede the first step.
        correct: Returns the settings of the stages after the warm-up; None: those of the run.
    """

    real: RealData
    spec: ContainerSpec
    config: CompressConfig
    pool: Pool | None = None
    world: World = ALONE
    max_memory: int | None = None
    check: Callable[[str], None] = lambda _: None
    cache: Path | None = None
    listener: Listener = no_progress
    correct: "Callable[[Inputs, Container], CompressConfig] | None" = None


def _warm_up(inputs: Inputs) -> Objective:
    targets = choose_targets(inputs.real, inputs.spec.counts, inputs.config.seed)
    return Reconstruction(targets, inputs.config.warmup, inputs.config.seed)


def _matching(inputs: Inputs) -> Objective:
    config = inputs.config.match
    seed, world, most = inputs.config.seed, inputs.world, inputs.max_memory
    match = Match(inputs.real, inputs.pool, config, seed, world, most, cache=inputs.cache)
    objective: Objective = OBJECTIVES[config.objective](match)
    return objective


def _gradient(inputs: Inputs) -> Objective:
    config, check = inputs.config, partial(inputs.check, "training a matching network")
    most = inputs.max_memory
    return GradientMatching(
        Match(inputs.real, None, config.gradient, config.seed, inputs.world, most, check=check)
    )


def _rival(inputs: Inputs) -> Objective:
    rival, check = inputs.config.rival, partial(inputs.check, "training a matching network")
    assert rival is not None  # noqa: S101 - only such a run has this stage
    match = Match(
        *(inputs.real, None, rival, inputs.config.seed),
        max_memory=inputs.max_memory,
        check=check,
        cache=inputs.cache,
        listener=inputs.listener,
    )
    objective: Objective = RIVALS[rival.method](match)
    return objective


OBJECTIVE_OF: dict[StageName, Callable[[Inputs], Objective]] = {
    "warm-up": _warm_up,
    "matching": _matching,
    "gradient": _gradient,
    "rival": _rival,
}
"""Stage -> factory of its objective; the keys are those of ``stages.FITTED``."""
