"""Feature matching: features of each class, through networks between untrained and trained.

A distance of real and synthetic features, over the outputs of every block, through interpolated
networks, plus these networks' cross-entropy on the synthetic images. All classes make one step
together, in one batch or, on a CPU, in several small ones.

The real side of a view is computed first (:mod:`hmnpack.matching.reference`), then compared with
the synthetic features by the objective's distance.

Shapes: K classes, n real and m synthetic images per class in a batch, D features of a block.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.matching.characteristic import CharacteristicDistance
from hmnpack.matching.chunks import AsManyAsFit, chunked
from hmnpack.matching.distances import Distance, class_features
from hmnpack.matching.footprint import (
    Memory,
    StepShape,
    feature_classes,
    feature_step,
    kept_of_views,
)
from hmnpack.matching.means import MeanDistance
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.pool import Pool
from hmnpack.matching.reference import Reference, references
from hmnpack.matching.views import View, Views
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime.devices import autocast, to_device
from hmnpack.schema.config import MatchConfig

DISTANCES: dict[str, type[Distance]] = {
    "features": MeanDistance,
    "characteristic": CharacteristicDistance,
}
"""Name of the objective -> what features are compared by."""


class FeatureMatching(Objective):
    """The objectives ``features`` and ``characteristic``, which differ in their distance.

    Args:
        match: Data, networks, settings.

    Raises:
        BadSettings: if there is no pool.
    """

    def __init__(self, match: Match[MatchConfig]) -> None:
        if match.pool is None:
            raise BadSettings(f"the objective {match.config.objective} needs a pool of networks")
        self.match = match
        self.pool: Pool = match.pool
        self.views: Views = Views(match, len(match.pool))
        self.distance: type[Distance] = DISTANCES[match.config.objective]
        self._kept: dict[int, list[Reference]] = {}
        self._most: int | None = None
        self._fitting = AsManyAsFit(repeatable=match.world.size == 1)

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of this rank's classes; see ``Objective``."""
        return self._fitting.done(partial(self._loss, container, step))

    def _loss(self, container: Container, step: int) -> Tensor:
        view, chosen = self.views.at(container.spec, step)
        config, parts = self.match.config, self.match.data.parts_each
        shape = feature_step(config, self.pool.architecture, container.spec, parts)
        own = self.match.world.share(len(chosen))
        chosen = to_device(chosen[own.start : own.stop], self.match.data.device)
        network = self.pool.between(view.network, view.part)
        real = self._references(view, network, shape)
        # The less a network is trained, the less its cross-entropy says.
        weight = self.match.config.classification_of(container.spec.each) * (1 - view.part)

        def loss_of(images: Tensor, classes: Tensor) -> Tensor:
            blocks = self._blocks(view, network, images, classes)
            loss = self._compared(real, blocks, classes)
            if weight:
                loss = loss + weight * self._cross_entropy(network, blocks[-1], classes)
            return loss

        images = container.expand(chosen.flatten())
        return chunked(images, own, self._classes_at_once(shape), loss_of)

    def _compared(self, real: list[Reference], blocks: list[Tensor], classes: Tensor) -> Tensor:
        """Return the distances of some classes' blocks from the real ones, added up."""
        places = classes - self.match.world.share(self.match.data.classes).start
        loss = blocks[0].new_zeros((), dtype=torch.float32)
        for reference, block in zip(real, blocks, strict=True):
            features = class_features(block, len(classes), self.distance.largest_side)
            loss = loss + reference.loss(features.float(), places)
        return loss

    def _cross_entropy(self, network: FeatureNetwork, block: Tensor, classes: Tensor) -> Tensor:
        """Return the part of the mean cross-entropy over all classes that some have.

        Args:
            network: The view's.
            block: Output of its last block, [k * m, C, h, w].
            classes: int64 [k], the numbers of these classes.
        """
        labels = classes.repeat_interleave(len(block) // len(classes))
        with autocast(block.device, self.match.config.precision):
            logits = network.classified(block).float()
        return F.cross_entropy(logits, labels) * (len(classes) / self.match.data.classes)

    def _references(self, view: View, network: FeatureNetwork, shape: StepShape) -> list[Reference]:
        """Return the real side of a view, which is kept if the view comes again."""
        kept = self._kept.get(view.number)
        if kept is None:
            features = self._real_features(view, network, shape)
            kept = references(features, self.distance, self.match, view.number)
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

    def _classes_at_once(self, shape: StepShape, *, real: bool = False) -> int:
        """Return how many classes to do at a time, of their real or their synthetic images."""
        memory = Memory(self.match.data.device.type == "cpu", self.match.max_memory)
        return self._fitting.of(feature_classes(shape, memory, real=real))

    def _blocks(
        self, view: View, network: FeatureNetwork, images: Tensor, classes: Tensor
    ) -> list[Tensor]:
        """Return the outputs of all blocks for images of some classes."""
        images = self.match.data.prepared(images, classes, view.draws)
        with autocast(images.device, self.match.config.precision):
            return network.features(images)

    @torch.no_grad()
    def _real_features(self, view: View, network: FeatureNetwork, shape: StepShape) -> list[Tensor]:
        """Return what the distance needs of each block, of the own classes' real images.

        [k, n, D] each, n being 1 where the mean will do.
        """
        own = self.match.world.share(len(view.real))
        classes = torch.arange(own.start, own.stop, device=view.real.device)
        parts = []
        for some in classes.split(self._classes_at_once(shape, real=True)):
            images = self.match.data.images[view.real[some].flatten()].float() / 255
            features = [
                class_features(block, len(some), self.distance.largest_side)
                for block in self._blocks(view, network, images, some)
            ]
            if not self.distance.needs_every_image:
                features = [block.float().mean(1, keepdim=True) for block in features]
            parts.append(features)
        return [torch.cat(block) for block in zip(*parts, strict=True)]
