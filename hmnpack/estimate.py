"""What a run will take on this device: its cost over the device's measured rate."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from hmnpack.cost import Run, Stage, Work, is_known, matched_through, stages_of
from hmnpack.matching.features import CPU_CHUNK
from hmnpack.rate import measured_rates
from hmnpack.schema.config import CompressConfig, Precision
from hmnpack.schema.container import HmnSpec

EFFICIENCY: dict[Work, float] = {
    "training": 0.45,
    "features": 0.35,
    "gradients": 0.35,
    "decoding": 0.30,
}
"""Rate of each kind of work over the rate of matrix products (placeholders, not measured yet)."""


@dataclass(frozen=True)
class StageEstimate:
    """One stage: its name, operations, seconds, and bytes of memory at the peak."""

    stage: str
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
    config: CompressConfig, spec: HmnSpec, images: int, device: torch.device
) -> Estimate | None:
    """Return what a run will take, or None if it uses a network whose operations are not known.

    Takes a fraction of a second: the device's rate is measured now.

    Args:
        config: Settings of the run.
        spec: The container.
        images: Real images in train; the part that is held out is not condensed.
        device: Where it will run.
    """
    if not is_known(config):
        return None
    stages = stages_of(
        Run(
            config=config,
            spec=spec,
            images=max(1, round(images * (1 - config.holdout))),
            feature_classes=_feature_classes(config, spec, device),
            gradient_classes=_gradient_classes(config, device),
        )
    )
    precisions = {part.precision for stage in stages for part in stage.parts}
    rates = measured_rates(device, sorted(precisions))
    return Estimate(
        tuple(
            StageEstimate(stage.name, stage.flops, _seconds(stage, rates), stage.bytes)
            for stage in stages
        ),
        device.type,
    )


def _seconds(stage: Stage, rates: dict[Precision, float]) -> float:
    return sum(part.flops / (EFFICIENCY[part.work] * rates[part.precision]) for part in stage.parts)


def _feature_classes(config: CompressConfig, spec: HmnSpec, device: torch.device) -> int | None:
    """Return how many classes feature matching takes at a time, None for all."""
    if device.type != "cpu":
        return None
    each = min(config.match.synthetic_batch, spec.instances)
    return min(spec.classes, max(1, CPU_CHUNK // (each * spec.image.height * spec.image.width)))


def _gradient_classes(config: CompressConfig, device: torch.device) -> int | None:
    """Return how many classes gradient matching takes at a time, None for all.

    On a CPU one, and of any network but a ConvNet one (``GradientMatching``).
    """
    one = device.type == "cpu" or matched_through(config).name != "convnet"
    return 1 if one else None
