"""Time and memory estimates: the cost of a run divided by the device's measured rate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import torch

from hmnpack.condensing.cost import as_gradient_matching, costs_of
from hmnpack.condensing.rate import measured_rates
from hmnpack.condensing.stage_cost import Run, StageCost, Work
from hmnpack.container.budget import over_budget_instances
from hmnpack.matching.footprint import (
    HELD_VIEWS_BYTES,
    Memory,
    feature_classes,
    gradient_classes,
    view_cache_bytes,
)
from hmnpack.runtime.devices import free_memory, low_precision
from hmnpack.schema.config import CompressConfig, Precision
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.stages import StageName
from hmnpack.training import at_once_on

EFFICIENCY: dict[Work, float] = {
    "training": 0.8,
    "features": 0.43,
    "gradients": 0.6,
    "decoding": 0.4,
}
"""Rate of each kind of work relative to matrix products. Measured (``make bench NAME=step``) for
networks of width 128 (features: 64) on a CPU without bfloat16, decoding on one core of a CPU with
it (0.5 at 32 pixels, 0.3 at 128); other devices are unmeasured."""

BFLOAT16_FACTOR = 0.45
"""Factor on these efficiencies in bfloat16 on a CPU, where matrix products become four times as
fast and the rest does not (measured: 0.6 for training at width 128, 0.4 for matching at 64)."""


@dataclass(frozen=True)
class StageEstimate:
    """Estimate for one stage: name, operations, seconds and peak memory in bytes."""

    stage: StageName
    flops: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """Estimate for a run; times are accurate to about a factor of two.

    Attributes:
        stages: The stages, in order.
        device: Kind of device.
    """

    stages: tuple[StageEstimate, ...]
    device: str

    @property
    def flops(self) -> int:
        """Total operations."""
        return sum(stage.flops for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Total time."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Peak memory of the stage that needs the most."""
        return max((stage.bytes for stage in self.stages), default=0)

    def with_seconds(self, seconds: Mapping[StageName, float]) -> "Estimate":
        """Return the estimate with other seconds for some of its stages."""
        stages = (replace(one, seconds=seconds.get(one.stage, one.seconds)) for one in self.stages)
        return replace(self, stages=tuple(stages))

    def document(self) -> dict[str, Any]:
        """Return the estimate as plain values, ready for JSON."""
        totals = {"flops": self.flops, "seconds": self.seconds, "bytes": self.bytes}
        return {"device": self.device, "stages": [asdict(s) for s in self.stages], **totals}


def estimate(  # noqa: PLR0913
    config: CompressConfig,
    spec: ContainerSpec,
    images: int,
    device: torch.device,
    ranks: int = 1,
    *,
    ipc: int,
    in_file: bool = False,
) -> Estimate:
    """Estimate the operations, time and memory of a run.

    This call takes about a second, since it measures the device's rate.

    Args:
        config: Settings of the run.
        spec: The stored container.
        images: Images in the training split; those in the validation split are not condensed.
        device: Device of the run.
        ranks: Processes that share the classes and pruning's trainings, each with such a device.
            Operations are the total over all ranks, counted as for one.
        ipc: Budget in images per class; it determines how many images are condensed before
            pruning.
        in_file: Whether a CPU reads the images from a file when they are needed.
    """
    stages = planned_stages(config, spec, images, device, ipc=ipc, in_file=in_file)
    rates = _rates(stages, device)
    return Estimate(
        tuple(
            StageEstimate(stage.name, stage.flops, _seconds(stage, rates, ranks), stage.bytes)
            for stage in stages
        ),
        device.type,
    )


def _rates(stages: tuple[StageCost, ...], device: torch.device) -> dict[Precision, float]:
    """Return the rate that efficiencies multiply, for each precision: operations per second."""
    precisions = {part.precision for stage in stages for part in stage.parts}
    rates = measured_rates(device, sorted(precisions))
    if device.type != "cpu":
        return rates
    return {
        precision: rate * (BFLOAT16_FACTOR if low_precision(device, precision) else 1)
        for precision, rate in rates.items()
    }


def planned_stages(
    config: CompressConfig,
    spec: ContainerSpec,
    images: int,
    device: torch.device,
    *,
    ipc: int,
    in_file: bool = False,
) -> tuple[StageCost, ...]:
    """Return the cost of each stage, without measuring the device; see :func:`estimate`."""
    condensed, keep = spec, None
    if config.prune.strategy != "none":
        more = {"instances": over_budget_instances(ipc, spec)}
        condensed, keep = spec.model_copy(update=more), spec.each
    run = _run(config, condensed, images, device, keep)
    return costs_of(replace(run, in_file=in_file and device.type == "cpu"))


def _run(
    config: CompressConfig, spec: ContainerSpec, images: int, device: torch.device, keep: int | None
) -> Run:
    seen, free = max(1, round(images * (1 - config.holdout))), free_memory(device)
    run = Run(
        config=config,
        spec=spec,
        images=seen,
        view_bytes=view_cache_bytes(free),
        held_views=HELD_VIEWS_BYTES if device.type == "cpu" else None,
        keep=keep,
        held_out=images - seen,
        trained_at_once=at_once_on(device),
    )
    memory = Memory(device.type == "cpu", free)
    if config.match.steps:
        run = replace(run, feature_classes=feature_classes(run.feature_step, memory))
    gradient = as_gradient_matching(run)
    if gradient.config.gradient.networks:
        run = replace(run, gradient_classes=gradient_classes(gradient.gradient_step, memory))
    return run


def _seconds(stage: StageCost, rates: dict[Precision, float], ranks: int) -> float:
    """Return the seconds of the rank with the most pieces of each part."""
    seconds = 0.0
    for part in stage.parts:
        share = ceil(part.pieces / ranks) / part.pieces
        rate = EFFICIENCY[part.work] * rates[part.precision]
        seconds += share * part.flops / rate
    return seconds
