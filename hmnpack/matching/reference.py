"""What a step's synthetic features are compared with: the real side of feature matching.

Shapes: K classes, of which a rank has k; n real and m synthetic images of each, D features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.matching.comparison import Comparison
from hmnpack.matching.distances import Distance, spread, unit_of
from hmnpack.matching.objective import Match
from hmnpack.runtime.ranks import World
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MatchConfig


@dataclass(frozen=True)
class Reference:
    """The real side of one block.

    Attributes:
        real: Features of the own classes' real images, [k, n, D]; n is 1 where their mean will do.
        unit: The squared unit of length of each own class, [k], or None.
        distance: What measures.
        scale: What to divide by: a scalar, the same for all ranks.
        held: Bytes that the distance holds.
    """

    real: Tensor
    unit: Tensor | None
    distance: Distance
    scale: Tensor
    held: int = 0

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.held + self.real.numel() * self.real.element_size()

    def loss(self, synthetic_KmD: Tensor, places: Tensor) -> Tensor:
        """Return the loss of the own classes at these places, int64 [K]."""
        real, unit = self.real, self.unit
        if len(places) < len(real):
            real, unit = real[places], None if unit is None else unit[places]
        return self.distance(real.float(), synthetic_KmD, unit) / self.scale


@torch.no_grad()
def references(
    blocks: list[Tensor], comparison: Comparison, match: Match[MatchConfig], step: int
) -> list[Reference]:
    """Return the real side of each block; all ranks call this together.

    Args:
        blocks: Features of the own classes' real images, or their means as one image: [k, n, D]
            for each block.
        comparison: What of them is compared.
        match: Settings, seed, ranks.
        step: Decides the random numbers of the distances, which are the same for all ranks.
    """
    generator = stream(match.seed, "distance", step)
    distances = [comparison.distance(real, generator) for real in blocks]
    units = [unit_of(real.float()) if comparison.whole else None for real in blocks]
    means = [real.float().mean(1) for real in blocks]
    scales = _spreads(means, units, distances, _Classes(match.world, match.data.classes))
    return [
        Reference(real, unit, distance, scale, comparison.held(real.shape[2]))
        for real, unit, distance, scale in zip(blocks, units, distances, scales, strict=True)
    ]


@dataclass(frozen=True)
class _Classes:
    """The classes of all ranks."""

    world: World
    count: int

    def collected(self, rows: list[Tensor]) -> list[Tensor]:
        """Return the rows of every rank's classes, where each rank has those of its own."""
        if self.world.size == 1:
            return rows
        own = self.world.share(self.count)
        whole = [some.new_zeros(self.count, *some.shape[1:]) for some in rows]
        for every, some in zip(whole, rows, strict=True):
            every[own.start : own.stop] = some
        self.world.collect(whole, self.count)
        return whole


def _spreads(
    means: list[Tensor], units: list[Tensor | None], distances: list[Distance], classes: _Classes
) -> list[Tensor]:
    """Return the spread of all classes' means for each block, above 0."""
    known = [unit for unit in units if unit is not None]
    everything = classes.collected(means + known)
    means, known = everything[: len(means)], everything[len(means) :]
    return [
        spread(mean, distance, known[block] if known else None).clamp_min(
            torch.finfo(mean.dtype).tiny
        )
        for block, (mean, distance) in enumerate(zip(means, distances, strict=True))
    ]
