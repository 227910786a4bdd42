"""What a run will take on this device: its cost over the device's measured rate."""

from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import torch

from hmnpack.condensing.cost import Run, StageCost, Work, costs_of
from hmnpack.condensing.rate import measured_rates
from hmnpack.container.budget import over_budget_instances
from hmnpack.matching.footprint import Memory, feature_classes, gradient_classes, kept_of_views
from hmnpack.runtime.devices import free_memory, low_precision
from hmnpack.schema.config import CompressConfig, Precision
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.stages import StageName
from hmnpack.training import at_once_on

EFFICIENCY: dict[Work, float] = {
    "training": 0.8,
    "features": 0.43,
    "gradients": 0.6,
    "decoding": 0.08,
}
"""Rate of each kind of work over the rate of matrix products: of networks of width 128 (features:
64) on a CPU without bfloat16 (``make bench NAME=step``). On other devices nothing was measured."""

OF_BFLOAT16 = 0.45
"""Part of these efficiencies that is left in bfloat16 on a CPU, whose products become four times as
fast, and the rest of the work no faster (0.6 of training at width 128, 0.4 of matching at 64)."""


@dataclass(frozen=True)
class StageEstimate:
    """One stage: its name, operations, seconds, and bytes of memory at the peak."""

    stage: StageName
    flops: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """What a run will take; times are right to a factor of two or so.

    Attributes:
        stages: In their order.
        device: Kind of device.
    """

    stages: tuple[StageEstimate, ...]
    device: str

    @property
    def flops(self) -> int:
        """Operations of all stages."""
        return sum(stage.flops for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Memory at the peak of the stage that needs most."""
        return max((stage.bytes for stage in self.stages), default=0)

    def document(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        totals = {"flops": self.flops, "seconds": self.seconds, "bytes": self.bytes}
        return {"device": self.device, "stages": [asdict(s) for s in self.stages], **totals}


def estimate(
    config: CompressConfig,
    spec: HmnSpec,
    images: int,
    device: torch.device,
    ranks: int = 1,
    *,
    ipc: int,
) -> Estimate:
    """Return what a run will take.

    Takes about a second: its networks are counted, and the device's rate is measured now.

    Args:
        config: Settings of the run.
        spec: The container that is stored.
        images: Real images in train; the part that is held out is not condensed.
        device: Where it will run.
        ranks: Processes that share the classes, and the trainings of pruning, each with such a
            device; operations are counted once, as they are for one.
        ipc: The budget, in images per class; it says how many more are condensed to be pruned.
    """
    stages = planned_stages(config, spec, images, device, ipc=ipc)
    rates = _rates(stages, device)
    return Estimate(
        tuple(
            StageEstimate(stage.name, stage.flops, _seconds(stage, rates, ranks), stage.bytes)
            for stage in stages
        ),
        device.type,
    )


def _rates(stages: tuple[StageCost, ...], device: torch.device) -> dict[Precision, float]:
    """Return what efficiencies are parts of, for each precision: operations per second."""
    precisions = {part.precision for stage in stages for part in stage.parts}
    rates = measured_rates(device, sorted(precisions))
    if device.type != "cpu":
        return rates
    return {
        precision: rate * (OF_BFLOAT16 if low_precision(device, precision) else 1)
        for precision, rate in rates.items()
    }


def planned_stages(
    config: CompressConfig, spec: HmnSpec, images: int, device: torch.device, *, ipc: int
) -> tuple[StageCost, ...]:
    """Return the cost of each stage without measuring anything; see :func:`estimate`."""
    condensed, keep = spec, None
    if config.prune.strategy != "none":
        more = {"instances": over_budget_instances(ipc, spec)}
        condensed, keep = spec.model_copy(update=more), spec.each
    return costs_of(_run(config, condensed, images, device, keep))


def _run(
    config: CompressConfig, spec: HmnSpec, images: int, device: torch.device, keep: int | None
) -> Run:
    seen, free = max(1, round(images * (1 - config.holdout))), free_memory(device)
    run = Run(
        config=config,
        spec=spec,
        images=seen,
        view_bytes=kept_of_views(free),
        keep=keep,
        held_out=images - seen,
        trained_at_once=at_once_on(device),
    )
    memory = Memory(device.type == "cpu", free)
    if config.match.steps:
        run = replace(run, feature_classes=feature_classes(run.feature_step, memory))
    if config.gradient.networks:
        run = replace(run, gradient_classes=gradient_classes(run.gradient_step, memory))
    return run


def _seconds(stage: StageCost, rates: dict[Precision, float], ranks: int) -> float:
    """Return the time of the rank that has most pieces of each part."""
    seconds = 0.0
    for part in stage.parts:
        share = ceil(part.pieces / ranks) / part.pieces
        rate = EFFICIENCY[part.work] * rates[part.precision]
        seconds += share * part.flops / rate
    return seconds
