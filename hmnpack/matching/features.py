"""Feature matching: features of each class, through networks between untrained and trained.

A distance of real and synthetic features, over the outputs of every block, through interpolated
networks, plus these networks' cross-entropy on the synthetic images. All classes make one step
together, in one batch or, on a CPU, in several small ones.

Shapes: K classes, n real and m synthetic images per class in a batch, D features of a block.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.matching.chunks import AsManyAsFit, chunked
from hmnpack.matching.comparison import MEANS, Comparison, grouped
from hmnpack.matching.footprint import (
    feature_classes,
    kept_of_views,
)
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.pool import Pool
from hmnpack.matching.reference import Reference, references
from hmnpack.matching.views import View, Views
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime.devices import autocast, sent
from hmnpack.schema.config import MatchConfig


class FeatureMatching(Objective):
    """The objectives ``features`` and ``characteristic``.

    Args:
        match: Data, networks, settings.
        comparison: What of the features is compared.

    Raises:
        BadSettings: if there is no pool.
    """

    def __init__(self, match: Match[MatchConfig], comparison: Comparison = MEANS) -> None:
        if match.pool is None:
            raise BadSettings(f"the objective {match.config.objective} needs a pool of networks")
        self.match = match
        self.comparison = comparison
        self.pool: Pool = match.pool
        self.views: Views = Views(match, len(match.pool))
        self._kept: dict[int, list[Reference]] = {}
        self._most: int | None = None
        self._fitting = AsManyAsFit(repeatable=match.world.size == 1)

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of this rank's classes; see ``Objective``."""
        return self._fitting.done(partial(self._loss_of, container, step))

    def _loss_of(self, container: Container, step: int) -> Tensor:
        view, chosen = self.views.at(container.spec, step)
        own = self.match.world.share(len(chosen))
        chosen = sent(chosen[own.start : own.stop], self.match.data.device)
        network = self.pool.between(view.network, view.part)
        weight = self.match.config.classification_of(container.spec.each) * (1 - view.part)
        through = _Through(view, network, self._references(view, network), weight)
        return chunked(
            container.expand(chosen.flatten()),
            own,
            self._classes_at_once(chosen.shape[1]),
            partial(self._loss, through),
        )

    def _references(self, view: View, network: FeatureNetwork) -> list[Reference]:
        """Return the real side of a view, which is kept if the view comes again."""
        kept = self._kept.get(view.number)
        if kept is None:
            features = self._real_features(view, network)
            kept = references(features, self.comparison, self.match, view.number)
            if self.match.config.views and len(self._kept) < self._most_kept(kept):
                self._kept[view.number] = kept
        return kept

    def _most_kept(self, real: list[Reference]) -> int:
        """Return of how many views the real side may be kept: the same for all ranks.

        They compute it together, so that each must know of every view which the others have.
        """
        if self._most is None:
            bound = kept_of_views(self.match.max_memory)
            size = sum(reference.bytes for reference in real)
            self._most = self.match.world.of_leader(bound // size)
        return self._most

    def _classes_at_once(self, images: int) -> int:
        """Return how many classes to do at a time, for so many images of each."""
        data = self.match.data
        at_once = feature_classes(
            self.match.config,
            self.pool.architecture,
            data.shape,
            images,
            classes=data.classes,
            on_cpu=data.device.type == "cpu",
            max_memory=self.match.max_memory,
        )
        return self._fitting.of(at_once)

    def _blocks(
        self, view: View, network: FeatureNetwork, images: Tensor, classes: Tensor
    ) -> list[Tensor]:
        """Return the outputs of all blocks for images of some classes."""
        images = self.match.data.prepared(images, classes, view.draws)
        with autocast(images.device, self.match.config.precision):
            return network.features(images)

    def _grouped(self, blocks: list[Tensor], classes: int) -> list[Tensor]:
        """Return the features that are compared, [k, n, D] for each block."""
        return [grouped(block, classes, self.comparison.cells) for block in blocks]

    @torch.no_grad()
    def _real_features(self, view: View, network: FeatureNetwork) -> list[Tensor]:
        """Return what the distance needs of each block, of the own classes' real images.

        [k, n, D] each, n being 1 where the mean will do.
        """
        own = self.match.world.share(len(view.real))
        classes = torch.arange(own.start, own.stop, device=view.real.device)
        parts = []
        for some in classes.split(self._classes_at_once(view.real.shape[1])):
            images = self.match.data.images[view.real[some].flatten()].float() / 255
            features = self._grouped(self._blocks(view, network, images, some), len(some))
            if not self.comparison.whole:
                features = [block.float().mean(1, keepdim=True) for block in features]
            parts.append(features)
        return [torch.cat(block) for block in zip(*parts, strict=True)]

    def _loss(self, through: "_Through", images: Tensor, classes: Tensor) -> Tensor:
        """Return the part of the loss that belongs to some classes."""
        data, network = self.match.data, through.network
        places = classes - self.match.world.share(data.classes).start
        blocks = self._blocks(through.view, network, images, classes)
        loss = images.new_zeros(())
        features = self._grouped(blocks, len(classes))
        for reference, block in zip(through.references, features, strict=True):
            loss = loss + reference.loss(block.float(), places)
        if through.classification:
            labels = classes.repeat_interleave(len(images) // len(classes))
            with autocast(images.device, self.match.config.precision):
                logits = network.classified(blocks[-1]).float()
            part = len(classes) / data.classes
            loss = loss + through.classification * F.cross_entropy(logits, labels) * part
        return loss


@dataclass(frozen=True)
class _Through:
    """What the synthetic images of a step go through, and what they are compared with.

    Attributes:
        view: The step's view.
        network: With its weights.
        references: The real side, one for each block.
        classification: Weight of the network's cross-entropy, the less, the less it is trained.
    """

    view: View
    network: FeatureNetwork
    references: list[Reference]
    classification: float
