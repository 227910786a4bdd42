"""Views: the network, augmentation and real images of a step of feature matching.

The network's weights are interpolated between untrained and trained ones; the real images are of
each class, or of one part of each. The features of these real images cost about as much as all that
is done with the synthetic ones, and depend on the view alone: a run that cycles through a fixed
number of views, in a new order each time, computes them once for each. Where classes are divided
into P parts, P consecutive views have each part once, so that no synthetic image is left out.

Shapes: K classes, n real and m synthetic images of each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.augment import Draws, draw
from hmnpack.matching.objective import Match
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MatchConfig
from hmnpack.schema.container import ContainerSpec


@dataclass(frozen=True)
class View:
    """The network, augmentation and real images of a step.

    Attributes:
        number: Seeds its random numbers, and names what is cached of it.
        network: Which network of the pool.
        part: How far its weights are from the trained ones (0) to the untrained ones (1).
        draws: An augmentation for each class, of real and synthetic images alike.
        real: Indices of real images, int64 [K, n].
        chosen: The part of each class that they belong to, int64 [K] on the CPU; None: classes
            are whole.
    """

    number: int
    network: int
    part: float
    draws: Draws
    real: Tensor
    chosen: Tensor | None


class Views:
    """Draws views, and synthetic images for each.

    Args:
        match: Data, settings, seed.
        networks: Number of networks to choose from.
    """

    def __init__(self, match: Match[MatchConfig], networks: int) -> None:
        data = match.data
        self.match = match
        self.networks = networks
        self.count: int = match.config.views_of(data.parts_each)
        numbers = data.labels * data.parts_each
        if data.parts is not None:
            numbers = numbers + data.parts
        self._real = ClassSampler(numbers, data.classes * data.parts_each)

    def at(self, spec: ContainerSpec, step: int) -> tuple[View, Tensor]:
        """Return a step's view, and indices of its synthetic images: int64 [K, m] on the CPU.

        Args:
            spec: The container.
            step: Decides every random number, together with the seed.
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
        """Return which view a step has; every cycle has all of them, in an order of its own."""
        turn, place = divmod(step, self.count)
        order = stream(self.match.seed, "views", turn)
        return int(torch.randperm(self.count, generator=order)[place])

    def _drawn(self, number: int, generator: torch.Generator) -> View:
        config, data = self.match.config, self.match.data
        network = int(torch.randint(self.networks, (), generator=generator))
        part = config.farthest * float(torch.rand((), generator=generator))
        draws = draw(config.augment, data.classes, generator, device=data.device)
        classes, chosen = torch.arange(data.classes), None
        if data.parts_each > 1:
            chosen = self._parts(number)
            classes = classes * data.parts_each + chosen
        real = self._real.draw(config.real_batch, generator, classes)
        return View(number, network, part, draws, real.to(data.device), chosen)

    def _parts(self, number: int) -> Tensor:
        """Return the part of each class that a view has: int64 [K].

        Each class goes through all its parts, in an order of its own, and then again in another.
        """
        data = self.match.data
        turn, place = divmod(number, data.parts_each)
        order = torch.rand(
            data.classes, data.parts_each, generator=stream(self.match.seed, "parts in turn", turn)
        )
        return order.argsort(1)[:, place]
