"""Views: the network, augmentation and real images of a feature matching step.

The network's weights are interpolated between initial and trained ones. The real images come from
each class, or from one part of each class. Their features cost about as much as the synthetic pass
and depend on the view alone. A run that cycles through a fixed number of views, in a new order each
time, therefore computes them once per view. If classes are divided into P parts, P consecutive
views cover each part once, so that no synthetic image is left out.

Shapes: K classes, n real and m synthetic images of each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.augment import Draws
from hmnpack.augment import draw as draw_augmentation
from hmnpack.matching.objective import Match
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MatchConfig
from hmnpack.schema.container import ContainerSpec


@dataclass(frozen=True)
class View:
    """The network, augmentation and real images of a step.

    Attributes:
        number: Index of the view; it seeds the random choices and is the cache key.
        network: Index of the network in the pool.
        part: Position of its weights from the trained (0) to the initial ones (1).
        draws: One augmentation per class, shared by real and synthetic images.
        real: Indices of the real images of each class, K times int64 [n], on the data's device.
        chosen: Part of each class that the real images belong to, int64 [K] on the CPU; None:
            classes are not partitioned.
    """

    number: int
    network: int
    part: float
    draws: Draws
    real: tuple[Tensor, ...]
    chosen: Tensor | None


class Views:
    """Draws views, and the synthetic images of each step.

    Args:
        match: Data, settings, seed.
        networks: Number of networks in the pool.
        equal: Whether every class needs equally many real images, for which those of a small class
            recur; otherwise a class, or part of a class, with few images shows each once.
    """

    def __init__(self, match: Match[MatchConfig], networks: int, *, equal: bool) -> None:
        data = match.data
        self.equal = equal
        self.match = match
        self.networks = networks
        self.count: int = match.config.views_of(data.parts_each)
        groups = data.labels * data.parts_each
        if data.parts is not None:
            groups = groups + data.parts
        self._real = ClassSampler(groups, data.classes * data.parts_each)

    def at(self, spec: ContainerSpec, step: int) -> tuple[View, Tensor]:
        """Return a step's view, and indices of its synthetic images: int64 [K, m] on the CPU.

        Args:
            spec: The container.
            step: Index of the step; with the seed it determines every random choice.
        """
        generator = stream(self.match.seed, "match", step)
        if self.count:
            number = self._place(step)
            view = self._drawn(number, stream(self.match.seed, "view", number))
        else:
            view = self._drawn(step, generator)
        most, parts = self.match.config.synthetic_batch, self.match.data.parts_each
        return view, choose_instances(spec, most, generator, view.chosen, parts)

    def _place(self, step: int) -> int:
        """Return the index of a step's view; each cycle visits all views in its own order."""
        turn, place = divmod(step, self.count)
        order = stream(self.match.seed, "views", turn)
        return int(torch.randperm(self.count, generator=order)[place])

    def _drawn(self, number: int, generator: torch.Generator) -> View:
        config, data = self.match.config, self.match.data
        network = int(torch.randint(self.networks, (), generator=generator))
        part = config.farthest * float(torch.rand((), generator=generator))
        draws = draw_augmentation(config.augment, data.classes, generator, device=data.device)
        classes, chosen = torch.arange(data.classes), None
        if data.parts_each > 1:
            chosen = self._parts(number)
            classes = classes * data.parts_each + chosen
        draw = self._real.draw if self.equal else self._real.up_to
        real = tuple(rows.to(data.device) for rows in draw(config.real_batch, generator, classes))
        return View(number, network, part, draws, real, chosen)

    def _parts(self, number: int) -> Tensor:
        """Return the part of each class in a view: int64 [K].

        Each class cycles through all its parts, in its own order, which changes in every cycle.
        """
        data = self.match.data
        turn, place = divmod(number, data.parts_each)
        order = torch.rand(
            data.classes, data.parts_each, generator=stream(self.match.seed, "parts in turn", turn)
        )
        return order.argsort(1)[:, place]
