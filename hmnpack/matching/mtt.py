"""MTT: students trained on the synthetic images must arrive where experts on the real ones do."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from hmnpack.augment import apply, normalise
from hmnpack.container import Container
from hmnpack.errors import Diverged
from hmnpack.matching.chunks import with_gradient
from hmnpack.matching.experts import Experts
from hmnpack.matching.families import draw_family
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.synthetic import chosen_images
from hmnpack.matching.trajectory import Weights, trajectory_loss
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.mtt import MttConfig


class TrajectoryMatching(Objective):
    """The objective of MTT; see :func:`hmnpack.matching.trajectory.trajectory_loss`.

    Args:
        match: Data, settings, cache.
    """

    is_shared = False

    def __init__(self, match: Match[MttConfig]) -> None:
        self.match = match
        self.experts: Experts = Experts(match)
        self.rate: Tensor = torch.tensor(match.config.student_lr).to(match.data.device)
        self._velocity: Tensor = torch.zeros_like(self.rate)
        self._is_ready = False

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of one student, after a step on its learning rate; see ``Objective``."""
        if not self._is_ready:
            self.experts.ready()
            self._is_ready = True
        config, seed = self.match.config, self.match.seed
        generator = stream(seed, "rival", "start", step)
        epoch = int(torch.randint(config.start_epochs, (), generator=generator))
        expert = self._expert(step)
        images = chosen_images(container, config.synthetic_batch, seed, step)
        student = Student(self.match, self.experts.network, step)
        segment = self.experts.segment(expert, epoch, images.dtype)
        found = trajectory_loss(student, segment, images, self.rate)
        self._velocity = config.student_lr_momentum * self._velocity + found.by_rate.to(self.rate)
        self.rate = self.rate - config.student_lr_step * self._velocity
        return with_gradient(images, found.loss, found.by_images)

    def figures(self) -> dict[str, float]:
        """Return the learning rate of the students.

        Raises:
            Diverged: if it is not above 0.
        """
        rate = float(self.rate)
        if not (math.isfinite(rate) and rate > 0):
            raise Diverged(
                f"the students' learning rate became {rate:.3g}; use a lower "
                f"rival.student_lr_step than {self.match.config.student_lr_step:g}"
            )
        return {"student_lr": rate}

    def state(self) -> dict[str, Any]:
        """Return the students' learning rate and its momentum.

        Raises:
            Diverged: if it is not above 0.
        """
        self.figures()
        return {"rate": self.rate, "velocity": self._velocity}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.rate = state["rate"].to(self.rate.device)
        self._velocity = state["velocity"].to(self.rate.device)

    def _expert(self, step: int) -> int:
        """Return the expert of a step; each cycle visits all in its own order."""
        count = self.match.config.experts
        turn, place = divmod(step, count)
        order = stream(self.match.seed, "rival", "experts", turn)
        return int(torch.randperm(count, generator=order)[place])


class Student:
    """The loss of a student at each of its steps: cross-entropy of a batch, augmented.

    Args:
        match: Data, settings.
        network: A network of the student's architecture; its parameters are not used.
        step: Index of the step on the images.
    """

    def __init__(self, match: Match[MttConfig], network: nn.Module, step: int) -> None:
        self.match = match
        self.network = network
        self.names: list[str] = [name for name, _ in network.named_parameters()]
        self.step = step

    def __call__(self, step: int, weights: Weights, images: Tensor) -> Tensor:
        """Return the loss; see :class:`hmnpack.matching.trajectory.StudentLoss`.

        The images are class by class, equally many of each.
        """
        data, seed = self.match.data, self.match.seed
        rows = to_device(self._rows(step, len(images)), images.device)
        generator = stream(seed, "rival", "student", self.step, step)
        draws = draw_family(self.match.config.augment, len(rows), generator, images.device)
        batch = apply(normalise(images[rows], data.normalisation), draws)
        given = dict(zip(self.names, weights, strict=True))
        own = stream(seed, "rival", "student's own", self.step, step)
        with seeded_layers(self.network, own, images.device):
            logits: Tensor = functional_call(self.network, given, (batch,))
        return F.cross_entropy(logits, rows // (len(images) // data.classes))

    def _rows(self, step: int, count: int) -> Tensor:
        """Return the images of a student's step: the next part of a random order."""
        size = min(self.match.config.student_batch or count, count)
        turn, place = divmod(step, -(-count // size))
        generator = stream(self.match.seed, "rival", "student's images", self.step, turn)
        return torch.randperm(count, generator=generator)[place * size : (place + 1) * size]
