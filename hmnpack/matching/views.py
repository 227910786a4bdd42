"""Views: what a step of feature matching looks at its images through.

A view is a network somewhere between its untrained and its trained weights (interpolated ones, or
those that it had after some epoch), an augmentation, and real images of each class or of one part
of each. The features of these real images cost about as
much as all that is done with the synthetic ones, and only depend on the view: a run that goes round
a number of views, in a new order each time, computes them once for each. Where classes are in P
parts, P views that follow each other have each part once, so that no synthetic image is left out.

Shapes: K classes, n real and m synthetic images of each.
"""

from collections.abc import Sized
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hmnpack.augment import Draws, draw
from hmnpack.matching.objective import Match
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime import stream
from hmnpack.schema.config import MatchConfig
from hmnpack.schema.container import ContainerSpec


@dataclass(frozen=True)
class View:
    """What a step looks at its images through.

    Attributes:
        number: Names its random numbers, and what is kept of it.
        network: Which network of the pool.
        part: How far its weights are from the trained ones (0) to the untrained ones (1).
        draws: An augmentation for each class, of real and synthetic images alike.
        real: Indices of real images, int64 [K, n].
        chosen: The part of each class that they belong to, int64 [K] on the CPU; None: classes
            are whole.
        epoch: After which epoch the network is taken; None: between its weights, by ``part``.
        later: After which epoch the network is taken whose cross-entropy it is, at this step: no
            part of what is kept of the view.
    """

    number: int
    network: int
    part: float
    draws: Draws
    real: Tensor
    chosen: Tensor | None
    epoch: int | None = None
    later: int | None = None


class Views:
    """Draws views, and synthetic images to be seen through them.

    Args:
        match: Data, settings, seed.
        networks: Those to choose from; there may be more or fewer of them at the next step.
    """

    def __init__(self, match: Match[MatchConfig], networks: Sized) -> None:
        data = match.data
        self.match = match
        self.networks = networks
        self.count = match.config.views_of(data.parts_each)
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
        view = replace(view, later=self._later(view.epoch, step))
        most, parts = self.match.config.synthetic_batch, self.match.data.parts_each
        return view, choose_instances(spec, most, generator, view.chosen, parts)

    def _place(self, step: int) -> int:
        """Return which view a step has; every round goes through all of them in its own order."""
        turn, place = divmod(step, self.count)
        order = stream(self.match.seed, "views", turn)
        return int(torch.randperm(self.count, generator=order)[place])

    def _drawn(self, number: int, generator: torch.Generator) -> View:
        config, data = self.match.config, self.match.data
        network = int(torch.randint(len(self.networks), (), generator=generator))
        part, epoch = 0.0, None
        if config.snapshots is not None:
            among = config.epochs_of(self._epochs)
            epoch = among[int(torch.randint(len(among), (), generator=generator))]
        elif config.interpolate:
            part = config.farthest * float(torch.rand((), generator=generator))
        draws = draw(config.augment, data.classes, generator, device=data.device)
        classes, chosen = torch.arange(data.classes), None
        if data.parts_each > 1:
            chosen = self._parts(number)
            classes = classes * data.parts_each + chosen
        real = self._real.draw(config.real_batch, generator, classes)
        return View(number, network, part, draws, real.to(data.device), chosen, epoch)

    @property
    def _epochs(self) -> int:
        """Epochs of the networks' trainings."""
        return self.match.pool.epochs if self.match.pool is not None else 0

    def _later(self, epoch: int | None, step: int) -> int | None:
        """Return the epoch whose network's cross-entropy a step takes, for a view's own epoch."""
        if epoch is None:
            return None
        most = min(self.match.config.ahead, self._epochs - epoch)
        generator = stream(self.match.seed, "ahead", step)
        return epoch + int(torch.randint(most + 1, (), generator=generator))

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
