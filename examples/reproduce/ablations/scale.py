"""Size of a study: the paper's, one for a CPU, one for tests, or any fraction."""

from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import TypeVar

from hmnpack.errors import BadSettings
from hmnpack.schema.config import CompressConfig, GradientConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.names import BaselineRow

Point = TypeVar("Point")

PAPER_WIDTH = 128
"""Channels of the paper's ConvNets."""


@dataclass(frozen=True)
class Scale:
    """Size of a study.

    Attributes:
        name: Name on the command line.
        recipe: Default recipe for condensing.
        protocol: Base protocol for evaluation.
        condensing: Fraction of the steps and epochs of condensing, in (0, 1].
        training: Fraction of the training epochs in evaluation and pruning, in (0, 1].
        large: Further factor on `training` where some networks need thirty times the FLOPs.
        width: Maximum ConvNet width (channels).
        networks: Default number of networks per row.
        betas: Hard pruning rates to try.
        points: Maximum number of points of a curve.
        rows: Baselines of Table 2.
        ipcs: Default number of budgets, starting from the paper's smallest.
    """

    name: str
    recipe: str
    protocol: str
    condensing: float
    training: float
    large: float
    width: int
    networks: int
    betas: tuple[float, ...]
    points: int
    rows: tuple[BaselineRow, ...]
    ipcs: int

    def condensed(self, config: CompressConfig) -> dict[str, object]:
        """Return the condensing settings that this scale changes, by dotted path."""
        warmup, pool, match, prune = config.warmup, config.pool, config.match, config.prune
        wanted: dict[str, object] = {
            "warmup.steps": part_of(warmup.steps, self.condensing),
            "pool.train.epochs": part_of(pool.train.epochs, self.condensing),
            "pool.min_steps": part_of(pool.min_steps, self.condensing),
            "pool.network.width": min(pool.network.width, self.width),
            "match.steps": part_of(match.steps, self.condensing),
            **part_of_gradient(config.gradient, self.condensing),
            "gradient.network.width": min(config.gradient.network.width, self.width),
            "prune.network.width": min(prune.network.width, self.width),
            "prune.margin_epochs": part_of(prune.margin_epochs, self.training),
            "prune.train.epochs": part_of(prune.train.epochs, self.training),
            "prune.min_steps": part_of(prune.min_steps, self.training),
            "prune.seeds": min(prune.seeds, self.networks),
            "prune.betas": self.betas,
        }
        return {path: value for path, value in wanted.items() if value != _at(config, path)}

    def evaluated(self, config: EvaluateConfig) -> dict[str, object]:
        """Return the evaluation settings that this scale changes, by dotted path."""
        wanted: dict[str, object] = {
            "network.width": min(config.network.width, self.width),
            "train.epochs": part_of(config.train.epochs, self.training),
            "min_steps": part_of(config.min_steps, self.training),
        }
        return {path: value for path, value in wanted.items() if value != _at(config, path)}

    def thinned(self, points: tuple[Point, ...]) -> tuple[Point, ...]:
        """Return at most `self.points` evenly spaced points of a curve, both ends included."""
        count, last = min(self.points, len(points)), len(points) - 1
        return tuple(points[round(index * last / max(1, count - 1))] for index in range(count))


def part_of(count: int, part: float) -> int:
    """Return a fraction of a number of steps or epochs, rounded up; 0 only for 0."""
    return ceil(round(count * part, 6))


def part_of_gradient(config: GradientConfig, part: float) -> dict[str, object]:
    """Return settings for a fraction of gradient matching's networks.

    If the fraction is less than one network, use one network with fewer steps.
    """
    networks = max(1, round(config.networks * part)) if config.networks else 0
    steps = config.inner_steps
    if networks == 1:
        steps = min(steps, part_of(config.steps, part))
    return {"gradient.networks": networks, "gradient.inner_steps": steps}


def _at(config: CompressConfig | EvaluateConfig, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


_FULL = Scale(
    name="full",
    recipe="paper",
    protocol="paper",
    condensing=1,
    training=1,
    large=1,
    width=4096,
    networks=10,
    betas=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    points=100,
    rows=("floats", "bytes", "count", "whole"),
    ipcs=3,
)

SCALES = {
    "full": _FULL,
    "cpu": Scale(
        name="cpu",
        recipe="fast",
        protocol="short",
        condensing=0.5,
        training=0.25,
        large=0.1,
        width=64,
        networks=3,
        betas=(0.0, 0.2, 0.4, 0.6, 0.8),
        points=4,
        rows=("floats", "bytes", "count"),
        ipcs=1,
    ),
    "smoke": Scale(
        name="smoke",
        recipe="smoke",
        protocol="short",
        condensing=1,
        training=0.001,
        large=1,
        width=4,
        networks=2,
        betas=(0.0, 0.5),
        points=2,
        rows=("floats", "bytes", "count", "whole"),
        ipcs=1,
    ),
}
"""`full`: the paper's size, for a GPU. `cpu`: about one CPU hour. `smoke`: seconds, for tests."""


def scale_of(text: str) -> Scale:
    """Return a scale by name, or the fraction of the paper's scale given as a number.

    A fraction scales steps, epochs and the number of networks. ConvNet FLOPs grow with the square
    of the width, so the width is scaled by the fraction's square root.

    Raises:
        BadSettings: if the text is neither.
    """
    if text in SCALES:
        return SCALES[text]
    try:
        part = float(text)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        raise BadSettings(
            f"unknown scale {text!r}; give a number above 0 and at most 1, or one of "
            f"{', '.join(SCALES)}"
        )
    return replace(
        _FULL,
        name=text,
        condensing=part,
        training=part,
        width=max(4, round(PAPER_WIDTH * sqrt(part))),
        networks=max(2, ceil(_FULL.networks * part)),
    )
