"""Feature matching: mean features of each class, through networks between untrained and trained.

The distance of distribution matching, over the outputs of every block, through interpolated
networks, plus the trained network's own cross-entropy on the synthetic images. All classes make
one step together, in one batch or, on a CPU, in several small ones.

Shapes: K classes, B images per class in a batch, D features of a block.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.augment import Draws, apply, draw, normalise
from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.matching.chunks import chunked
from hmnpack.matching.distances import mean_distance, spread
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime import autocast, stream
from hmnpack.schema.config import MatchConfig

CPU_CHUNK = 64 * 32 * 32
"""Pixels at a time on a CPU: layers then stay in its cache, and memory is used again at once."""


class FeatureMatching(Objective):
    """The objective ``features``.

    Args:
        match: Data, networks, settings.
    """

    def __init__(self, match: Match[MatchConfig]) -> None:
        if match.pool is None:
            raise BadSettings("the objective features needs a pool of networks")
        self.match = match
        self.pool = match.pool
        self.sampler = ClassSampler(match.data.labels, match.data.classes)

    @property
    def blocks(self) -> list[range]:
        """All of this rank's classes make one step together."""
        return [self.match.world.share(self.match.data.classes)]

    def losses(self, container: Container, step: int) -> Iterator[Tensor]:
        """Give the step's one loss; see ``Objective``."""
        yield self.loss(container, step)

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of this rank's classes; gradients flow to the container.

        Args:
            container: Decodes the synthetic images.
            step: Decides every random number of the step, together with the seed.
        """
        config, data = self.match.config, self.match.data
        own = self.match.world.share(data.classes)
        generator = stream(self.match.seed, "match", step)
        index = int(torch.randint(len(self.pool), (), generator=generator))
        part = float(torch.rand((), generator=generator)) if config.interpolate else 0.0
        draws = draw(config.augment, data.classes, generator, device=data.device)
        real = self.sampler.draw(config.real_batch, generator).to(data.device)
        chosen = choose_instances(container.spec, config.synthetic_batch, generator)
        chosen = chosen[own.start : own.stop].to(data.device)
        networks = _Networks(self.pool.between(index, part), self.pool.trained(index))

        targets = self._targets(networks, real, draws)
        images = container.expand(chosen.flatten())
        return chunked(
            images,
            own,
            self._classes_at_once(chosen.shape[1]),
            lambda some, classes: self._loss(networks, some, classes, targets, draws),
        )

    def _classes_at_once(self, images: int) -> int:
        """Return how many classes to do at a time, for so many images of each."""
        if self.match.data.device.type != "cpu":
            return self.match.data.classes
        height, width = self.match.data.images.shape[2:]
        return max(1, CPU_CHUNK // (images * height * width))

    def _prepared(self, images: Tensor, classes: Tensor, draws: Draws) -> Tensor:
        """Normalise and augment, with one draw per class for all its images (siamese)."""
        rows = classes.repeat_interleave(len(images) // len(classes))
        return apply(normalise(images, self.match.data.normalisation), draws.index(rows))

    @torch.no_grad()
    def _targets(self, networks: "_Networks", real: Tensor, draws: Draws) -> "_Targets":
        """Return the class means of the real images, block by block."""
        own = self.match.world.share(len(real))
        classes = torch.arange(own.start, own.stop, device=real.device)
        parts = []
        for some in classes.split(self._classes_at_once(real.shape[1])):
            images = self.match.data.images[real[some].flatten()].float() / 255
            with autocast(real.device, self.match.config.precision):
                blocks = networks.between.features(self._prepared(images, some, draws))
            parts.append([_class_means(block, len(some)) for block in blocks])
        means = [self._of_all(torch.cat(block), own) for block in zip(*parts, strict=True)]
        if self.match.config.blocks == "last":
            means = means[-1:]
        scales = [
            spread(mean).clamp_min(torch.finfo(mean.dtype).tiny)
            if self.match.config.scale == "spread"
            else mean.new_ones(())
            for mean in means
        ]
        return _Targets(means, scales)

    def _of_all(self, rows: Tensor, own: range) -> Tensor:
        """Return the rows of every rank's classes, where each rank has those of its own."""
        world = self.match.world
        if world.size == 1:
            return rows
        whole = rows.new_zeros(self.match.data.classes, *rows.shape[1:])
        whole[own.start : own.stop] = rows
        world.collect(whole, len(whole))
        return whole

    def _loss(
        self,
        networks: "_Networks",
        images: Tensor,
        classes: Tensor,
        targets: "_Targets",
        draws: Draws,
    ) -> Tensor:
        """Return the part of the loss that belongs to some classes."""
        config = self.match.config
        loss = images.new_zeros(())
        images = self._prepared(images, classes, draws)
        with autocast(images.device, config.precision):
            blocks = networks.between.features(images)[-len(targets.means) :]
            for block, mean, scale in zip(blocks, targets.means, targets.scales, strict=True):
                ours = _class_means(block, len(classes))
                loss = loss + mean_distance(mean[classes], ours) / scale
            if config.classification:
                labels = classes.repeat_interleave(len(images) // len(classes))
                error = F.cross_entropy(networks.trained(images).float(), labels)
                loss = loss + config.classification * error * (len(classes) / len(targets.means[0]))
        return loss


@dataclass(frozen=True)
class _Networks:
    """The networks of one step."""

    between: FeatureNetwork
    trained: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Targets:
    """Class means of the real images' features [K, D], and what to divide by, block by block."""

    means: list[Tensor]
    scales: list[Tensor]


def _class_means(block: Tensor, classes: int) -> Tensor:
    grouped: Tensor = block.float().flatten(1).unflatten(0, (classes, -1))
    return grouped.mean(1)
