"""A container through all stages that fit it, from random numbers on."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from hmnpack.condensing.fitting import Fitting
from hmnpack.condensing.objectives import OBJECTIVE_OF, Inputs
from hmnpack.container import HMN, Container, new_container
from hmnpack.matching import load_or_train_pool, partition_classes
from hmnpack.runtime.seeds import stream
from hmnpack.schema.stages import Stage, stages_of


def fit_container(inputs: Inputs, fitting: Fitting, cache: Path) -> Container:
    """Return the container after all stages that the checkpoint has not done.

    Every rank calls this together, and ends with the same container. Where the checkpoint is of
    pruning, the container is not the one that it holds: see :meth:`Fitting.trainings`.

    Args:
        inputs: What the stages work on, but for the pool.
        fitting: Takes the steps.
        cache: Folder of cached work.
    """
    stages = {stage.name: stage for stage in stages_of(inputs.config)}
    if any(stage.uses_pool and not fitting.is_past(stage.name) for stage in stages.values()):
        inputs = _with_pool(inputs, fitting, cache / "pool")
    config = inputs.config
    container = new_container(inputs.spec, config.container, stream(config.seed, "container"))
    container.to(inputs.real.device)
    if "warm-up" in stages:
        _fit(stages.pop("warm-up"), container, inputs, fitting)
    if isinstance(container, HMN) and not fitting.is_past("warm-up"):
        container.freeze()  # its norms follow the batch in the warm-up alone
    for stage in stages.values():
        _fit(stage, container, inputs, fitting)
    return container


def _fit(stage: Stage, container: Container, inputs: Inputs, fitting: Fitting) -> None:
    if stage.steps and not fitting.is_past(stage.name):
        fitting.run(stage, container, OBJECTIVE_OF[stage.name](inputs))


def _with_pool(inputs: Inputs, fitting: Fitting, folder: Path) -> Inputs:
    """Train the pool, or read it; cut classes into parts by its features, if the settings do."""
    config, real, each = inputs.config, inputs.real, inputs.spec.each
    parts = config.match.parts_of(each)
    with inputs.world.leader_first():
        check = partial(fitting.clock.check, "the pool was trained")
        pool = load_or_train_pool(real, config.pool, config.seed, folder, fitting.listener, check)
    if parts > 1:
        real = partition_classes(real, pool.trained(0), parts, each, config.seed)
    if real.parts is not None:
        inputs.world.broadcast([real.parts])  # another rank's arithmetic may cut a little elsewhere
    return replace(inputs, real=real, pool=pool)
