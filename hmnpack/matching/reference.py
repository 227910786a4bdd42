"""The reference of feature matching: real features, with a distance and its scale for each block.

Shapes: K classes, of which a rank has k; n real and m synthetic images of each, D features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.matching.characteristic import unit_of
from hmnpack.matching.distances import Distance, spread
from hmnpack.matching.objective import Match
from hmnpack.runtime.ranks import World
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MatchConfig


@dataclass(frozen=True)
class Reference:
    """The real features of one block for the rank's own classes.

    Attributes:
        real: Features of the real images, [k, n, D]; n is 1 if class means suffice.
        unit: Squared unit of length of each class, [k], or None.
        distance: Distance between real and synthetic features.
        scale: Divisor of the distance, a scalar that is the same on all ranks.
    """

    real: Tensor
    unit: Tensor | None
    distance: Distance
    scale: Tensor

    @property
    def bytes(self) -> int:
        """Bytes of the features and of the distance."""
        return self.distance.bytes + self.real.numel() * self.real.element_size()

    def loss(self, synthetic_KmD: Tensor, places: Tensor) -> Tensor:
        """Return the loss of some of the own classes, given their positions, int64 [K]."""
        real, unit = self.real, self.unit
        if len(places) < len(real):
            real, unit = real[places], None if unit is None else unit[places]
        return self.distance(real.float(), synthetic_KmD, unit) / self.scale


@torch.no_grad()
def references(
    blocks: list[Tensor], distance: type[Distance], match: Match[MatchConfig], view: int
) -> list[Reference]:
    """Return the reference of each block (collective: all ranks must call it).

    Args:
        blocks: For each block, the features of the own classes' real images, [k, n, D]; or their
            class means, as one image each.
        distance: Distance between features.
        match: Settings, seed, ranks.
        view: Index of the view; it determines the distances' random values, the same on all ranks.
    """
    generator = stream(match.seed, "distance", view)
    distances = [distance.drawn(real, generator) for real in blocks]
    means = [real.float().mean(1) for real in blocks]
    units = [unit_of(real.float()) for real in blocks if distance.needs_every_image]
    every = _of_all_classes(means + units, match.data.classes, match.world)
    no_units = [None] * len(blocks)
    scales = [
        spread(mean, measure, unit).clamp_min(torch.finfo(mean.dtype).tiny)
        for mean, measure, unit in zip(
            every[: len(means)], distances, every[len(means) :] or no_units, strict=True
        )
    ]
    return [
        Reference(real, unit, measure, scale)
        for real, unit, measure, scale in zip(
            blocks, units or no_units, distances, scales, strict=True
        )
    ]


def _of_all_classes(rows: list[Tensor], classes: int, world: World) -> list[Tensor]:
    """Gather the rows of all classes; each rank contributes those of its own."""
    if world.size == 1:
        return rows
    own = world.share(classes)
    whole = [some.new_zeros(classes, *some.shape[1:]) for some in rows]
    for every, some in zip(whole, rows, strict=True):
        every[own.start : own.stop] = some
    world.collect(whole, classes)
    return whole
