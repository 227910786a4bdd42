"""Fitting a container through all optimisation stages."""

from dataclasses import replace
from pathlib import Path

from hmnpack.condensing.fitting import Fitting
from hmnpack.condensing.objectives import OBJECTIVE_OF, Inputs
from hmnpack.container import HMN, Container
from hmnpack.matching import choose_targets, load_or_train_pool, partition_classes
from hmnpack.runtime.seeds import stream
from hmnpack.schema.stages import Stage, stages_of, starts_from_real
from hmnpack.sources.lazy import in_memory


def fit_container(container: Container, inputs: Inputs, fitting: Fitting, cache: Path) -> Container:
    """Run all stages that the checkpoint has not completed, and return the container, fitted.

    Collective: all ranks must call it, and all end with the same container. If the checkpoint was
    written during pruning, its container is restored by :meth:`Fitting.trainings`, not here.

    Args:
        container: An untrained container, which is moved to the device and fitted in place.
        inputs: Inputs of the stages, without the pool.
        fitting: Runs the steps.
        cache: The cache folder.
    """
    stages = {stage.name: stage for stage in stages_of(inputs.config)}
    if any(stage.uses_pool and not fitting.is_past(stage.name) for stage in stages.values()):
        inputs = _with_pool(inputs, fitting, cache / "pool")
    config = inputs.config
    container.to(inputs.real.device)
    if "warm-up" in stages:
        _fit(stages["warm-up"], container, inputs, fitting)
    elif starts_from_real(config):
        targets = choose_targets(inputs.real, inputs.spec.counts, config.seed)
        container.start_from(in_memory(targets), stream(config.seed, "container", "start"))
    if isinstance(container, HMN) and not fitting.is_past("warm-up"):
        container.freeze()  # its norms use batch statistics only in the warm-up
    if inputs.correct is not None:
        inputs = replace(inputs, config=inputs.correct(inputs, container))
    for stage in stages_of(inputs.config):
        if stage.name != "warm-up":
            _fit(stage, container, inputs, fitting)
    return container


def _fit(stage: Stage, container: Container, inputs: Inputs, fitting: Fitting) -> None:
    if stage.steps and not fitting.is_past(stage.name):
        fitting.run(stage, container, OBJECTIVE_OF[stage.name](inputs))


def _with_pool(inputs: Inputs, fitting: Fitting, folder: Path) -> Inputs:
    """Train or load the pool; partition the classes by its features, if the settings say so."""
    config, real, each = inputs.config, inputs.real, inputs.spec.each
    parts = config.match.parts_of(each)
    with inputs.world.leader_first():
        pool = load_or_train_pool(
            real, config.pool, config.seed, folder, fitting.listener, fitting.check_pool
        )
    if parts > 1:
        real = partition_classes(real, pool.trained(0), parts, each, config.seed)
    if real.parts is not None:
        inputs.world.broadcast([real.parts])  # rounding may differ between ranks
    return replace(inputs, real=real, pool=pool)
