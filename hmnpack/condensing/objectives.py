"""What each stage fits the container to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hmnpack.matching import (
    OBJECTIVES,
    GradientMatching,
    Match,
    Objective,
    Pool,
    RealData,
    Reconstruction,
    choose_targets,
)
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.stages import StageName


@dataclass(frozen=True)
class Inputs:
    """What the objectives of a run are made from.

    Attributes:
        real: The real images, and the parts of their classes, if these are cut into some.
        spec: The container.
        config: Settings of the run.
        pool: Networks to match features through, in a run that does.
        world: The ranks that share the classes.
        max_memory: Bytes that one chunk of classes, and what is kept of views, may take;
            None: no bound.
        check: Called, with what is done meanwhile, by every rank after each epoch of a network
            that a step needs; it may raise to stop there.
    """

    real: RealData
    spec: ContainerSpec
    config: CompressConfig
    pool: Pool | None = None
    world: World = ALONE
    max_memory: int | None = None
    check: Callable[[str], None] = lambda _: None


def _warm_up(inputs: Inputs) -> Objective:
    targets = choose_targets(inputs.real, inputs.spec.counts, inputs.config.seed)
    return Reconstruction(targets, inputs.config.warmup, inputs.config.seed)


def _matching(inputs: Inputs) -> Objective:
    config = inputs.config.match
    seed, world, most = inputs.config.seed, inputs.world, inputs.max_memory
    match = Match(inputs.real, inputs.pool, config, seed, world, most)
    objective: Objective = OBJECTIVES[config.objective](match)
    return objective


def _gradient(inputs: Inputs) -> Objective:
    config, check = inputs.config, partial(inputs.check, "a network to match through was trained")
    most = inputs.max_memory
    return GradientMatching(
        Match(inputs.real, None, config.gradient, config.seed, inputs.world, most, check=check)
    )


OBJECTIVE_OF: dict[StageName, Callable[[Inputs], Objective]] = {
    "warm-up": _warm_up,
    "matching": _matching,
    "gradient": _gradient,
}
"""Stage -> function that makes its objective; the keys are those of ``stages.FITTED``."""
