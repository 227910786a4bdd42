"""Measured seconds of a run's steps: a few of each kind, on copies that are thrown away.

Every random number of a run comes from a stream that is named by its step, so that measuring
changes no result.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from hmnpack.augment import normalise
from hmnpack.condensing.adam import ContainerAdam
from hmnpack.condensing.objectives import OBJECTIVE_OF, Inputs
from hmnpack.container import HMN, Container, new_container
from hmnpack.matching import Pool, RealData, feature_network
from hmnpack.matching.footprint import bytes_per_view, feature_step, view_cache_bytes
from hmnpack.networks import FeatureNetwork, build_network
from hmnpack.runtime.devices import free_memory, wait_for
from hmnpack.runtime.ranks import ALONE
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.stages import BETAS, has_stage
from hmnpack.sources import Split, choose_per_class
from hmnpack.sources.lazy import lazily, on_device
from hmnpack.training.loop import optimiser_of, pixels_of, sgd_step

LONGEST = 1.0
"""Seconds to measure one kind of step for, at most; slow steps are measured once."""

_MOST = 50
"""Steps of one kind that are measured, at most."""

_EACH = 64
"""Real images per class to measure with, at most."""


@dataclass(frozen=True)
class Rates:
    """Seconds of the steps of a run on a device.

    Attributes:
        pool: A training step of a network of the pool.
        warmup: A step of the warm-up; 0: there is none.
        match: A step of feature matching, with the real features of its view at hand.
        view: Computing the real features of a view.
        most_views: Largest number of views whose real features are kept.
    """

    pool: float
    warmup: float
    match: float
    view: float
    most_views: int = 10**9


def seconds_of(call: Callable[[], object], device: torch.device, longest: float = LONGEST) -> float:
    """Return the mean time of a call, in seconds; fast ones are called once before.

    Args:
        call: The call to measure, which may be repeated.
        device: Device on which it computes.
        longest: Seconds to measure for.
    """
    taken = _timed(call, device)
    if taken > longest:
        return taken
    total, count = 0.0, 0
    while count < 2 or (total < longest and count < _MOST):
        total, count = total + _timed(call, device), count + 1
    return total / count


def _timed(call: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    call()
    wait_for(device)
    return time.perf_counter() - begun


def timing_inputs(
    seen: Split, config: CompressConfig, spec: ContainerSpec, device: torch.device
) -> Inputs:
    """Return the inputs of a run with a few of its real images, to measure its steps with."""
    return Inputs(_some(seen, config, spec, device), spec, config)


def pool_seconds(inputs: Inputs, longest: float = LONGEST) -> float:
    """Return the seconds of a training step of a network of the pool."""
    return _pool_step(inputs, longest)[1]


def measured_rates(inputs: Inputs, longest: float = LONGEST) -> Rates:
    """Measure the steps of a run before it begins, with networks that are not trained.

    Args:
        inputs: What :func:`timing_inputs` returned, with the settings of the run.
        longest: Seconds to measure each kind of step for.
    """
    config, spec, device = inputs.config, inputs.spec, inputs.real.device
    network, pool = _pool_step(inputs, longest)
    trained = Pool([network], [network.state_dict()], config.pool.network)
    container = new_container(spec, config.container, stream(config.seed, "timing"))
    container.to(device)
    warmup = 0.0
    if has_stage(config, "warm-up"):
        objective = OBJECTIVE_OF["warm-up"](inputs)
        warmup = seconds_of(_step(container, objective.loss), device, longest)
    if isinstance(container, HMN):
        container.freeze()
    match, view = matching_seconds(replace(inputs, pool=trained), container, longest)
    return Rates(pool, warmup, match, view, _most_views(inputs))


def _most_views(inputs: Inputs) -> int:
    match, parts = inputs.config.match, inputs.real.parts_each
    step = feature_step(match, inputs.config.pool.network, inputs.spec, parts)
    free = free_memory(inputs.real.device)
    return max(1, view_cache_bytes(free) // bytes_per_view(match, step))


def matching_seconds(
    inputs: Inputs, container: Container, longest: float = LONGEST
) -> tuple[float, float]:
    """Return the seconds of a step of feature matching, and of the real features of a view.

    Args:
        inputs: Inputs of the run, with the pool.
        container: The container, which is not changed.
        longest: Seconds to measure each kind of step for.
    """
    device, container = inputs.real.device, deepcopy(container)
    match = inputs.config.match
    views = match.views and max(match.views, 2 * match.parts_of(inputs.spec.each))
    config = inputs.config.model_copy(update={"match": match.model_copy(update={"views": views})})
    objective = OBJECTIVE_OF["matching"](replace(inputs, config=config))
    step = _step(container, objective.loss)
    new = _timed(step, device)  # of another view than the repeated steps
    if new < longest:
        new = min(new, _timed(_step(container, objective.loss, 1), device))
    again = seconds_of(step, device, longest) if views else new
    return again, max(0.0, new - again)


def _step(
    container: Container, loss: Callable[[Container, int], torch.Tensor], number: int = 0
) -> Callable[[], None]:
    """Return a function that takes an optimiser step of a stage, always that of one number."""
    adam = ContainerAdam(container, BETAS, ALONE)
    adam.set_rate(0.0)
    return lambda: adam.step(loss(container, number))


def _pool_step(inputs: Inputs, longest: float) -> tuple[FeatureNetwork, float]:
    """Return an untrained network of the pool, and the seconds of a step of its training."""
    config, real = inputs.config, inputs.real
    generator = stream(config.seed, "timing", "network")
    built = build_network(
        config.pool.network, classes=real.classes, image=real.shape, generator=generator
    )
    network = feature_network(built, config.pool.network).to(real.device).train()
    optimiser = optimiser_of(network, config.pool.train)
    rows = torch.arange(config.pool.train.batch) % len(real.labels)
    rows = rows.to(real.device)

    def step() -> None:
        batch = normalise(pixels_of(real.images[rows]), real.normalisation)
        sgd_step(network, optimiser, batch, real.labels[rows], config.pool.train, generator)

    return network, seconds_of(step, real.device, longest)


def _some(
    seen: Split, config: CompressConfig, spec: ContainerSpec, device: torch.device
) -> RealData:
    """Return a few real images per class on a device, in random parts."""
    counts = torch.bincount(seen.labels, minlength=spec.classes).clamp(max=_EACH).tolist()
    rows = choose_per_class(seen, counts, stream(config.seed, "timing", "images"))
    parts = min(config.match.parts_of(spec.each), *counts)
    channels = spec.image.channels
    return RealData(
        images=on_device(lazily(seen.pixels, rows), device),
        labels=seen.labels[rows].to(device),
        classes=spec.classes,
        normalisation=Normalisation(mean=(0.5,) * channels, std=(0.25,) * channels),
        fingerprint="timing",
        parts=(torch.arange(len(rows)) % parts).to(device) if parts > 1 else None,
        parts_each=parts,
    )
