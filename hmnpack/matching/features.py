"""Feature matching through networks interpolated between untrained and trained weights.

The loss is a distance between real and synthetic features, summed over the outputs of all blocks,
plus the network's cross-entropy on the synthetic images. A step covers all classes, in one batch
or, on a CPU, in several small ones.

The real features of a view are computed first (:mod:`hmnpack.matching.reference`), then compared
with the synthetic features by the objective's distance.

Shapes: K classes, n real and m synthetic images per class in a batch, D features of a block.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.matching.characteristic import CharacteristicDistance
from hmnpack.matching.chunks import AdaptiveChunkSize, chunked_loss
from hmnpack.matching.distances import Distance, class_features
from hmnpack.matching.footprint import (
    HELD_VIEWS_BYTES,
    Memory,
    StepShape,
    feature_classes,
    feature_step,
    view_cache_bytes,
)
from hmnpack.matching.means import MeanDistance
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.pool import Pool
from hmnpack.matching.reference import Reference, references
from hmnpack.matching.view_cache import ViewCache
from hmnpack.matching.views import View, Views
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime.devices import autocast, to_device
from hmnpack.schema.config import MatchConfig

DISTANCES: dict[str, type[Distance]] = {
    "features": MeanDistance,
    "characteristic": CharacteristicDistance,
}
"""Name of the objective -> distance between features."""


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
        self.distance: type[Distance] = DISTANCES[match.config.objective]
        equal = self.distance.needs_every_image
        self.views: Views = Views(match, len(match.pool), equal=equal)
        on_cpu = match.data.device.type == "cpu"
        self._cache = ViewCache(HELD_VIEWS_BYTES if on_cpu else None, match.cache)
        self._cache_size: int | None = None
        self._chunk_size = AdaptiveChunkSize(repeatable=match.world.size == 1)

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of this rank's classes; see ``Objective``."""
        return self._chunk_size.run(partial(self._loss, container, step))

    def _loss(self, container: Container, step: int) -> Tensor:
        view, chosen = self.views.at(container.spec, step)
        config, parts = self.match.config, self.match.data.parts_each
        shape = feature_step(config, self.pool.architecture, container.spec, parts)
        own = self.match.world.share(len(chosen))
        chosen = to_device(chosen[own.start : own.stop], self.match.data.device)
        network = self.pool.between(view.network, view.part)
        real = self._references(view, network, shape)
        # The cross-entropy of a less trained network is less informative.
        weight = self.match.config.classification_of(container.spec.each) * (1 - view.part)

        def loss_of(images: Tensor, classes: Tensor) -> Tensor:
            blocks = self._blocks(view, network, images, classes)
            loss = self._compared(real, blocks, classes)
            if weight:
                loss = loss + weight * self._cross_entropy(network, blocks[-1], classes)
            return loss

        images = container.expand(chosen.flatten())
        return chunked_loss(images, own, self._classes_at_once(shape), loss_of)

    def _compared(self, real: list[Reference], blocks: list[Tensor], classes: Tensor) -> Tensor:
        """Return the distance from the real features for some classes, summed over blocks."""
        places = classes - self.match.world.share(self.match.data.classes).start
        loss = blocks[0].new_zeros((), dtype=torch.float32)
        for reference, block in zip(real, blocks, strict=True):
            features = class_features(block, len(classes), self.distance.largest_side)
            loss = loss + reference.loss(features.float(), places)
        return loss

    def _cross_entropy(self, network: FeatureNetwork, block: Tensor, classes: Tensor) -> Tensor:
        """Return the contribution of some classes to the mean cross-entropy over all classes.

        Args:
            network: The view's network.
            block: Output of its last block, [k * m, C, h, w].
            classes: Indices of these classes, int64 [k].
        """
        labels = classes.repeat_interleave(len(block) // len(classes))
        with autocast(block.device, self.match.config.precision):
            logits = network.classified(block).float()
        return F.cross_entropy(logits, labels) * (len(classes) / self.match.data.classes)

    def _references(self, view: View, network: FeatureNetwork, shape: StepShape) -> list[Reference]:
        """Return the real features of a view, cached if views recur."""
        real = self._cache.get(view.number)
        if real is None:
            features = self._real_features(view, network, shape)
            real = references(features, self.distance, self.match, view.number)
            if self.match.config.views and len(self._cache) < self._max_cached(real):
                self._cache[view.number] = real
        return real

    def _max_cached(self, real: list[Reference]) -> int:
        """Return the number of views that fit into the cache, the same on all ranks.

        Computing a view's real features is collective, so all ranks must cache the same views.
        """
        if self._cache_size is None:
            bound = view_cache_bytes(self.match.max_memory)
            size = sum(reference.bytes for reference in real)
            self._cache_size = self.match.world.of_leader(bound // size)
        return self._cache_size

    def _classes_at_once(self, shape: StepShape, *, real: bool = False) -> int:
        """Return the chunk size in classes, for their real or their synthetic images."""
        memory = Memory(self.match.data.device.type == "cpu", self.match.max_memory)
        return self._chunk_size.limit(feature_classes(shape, memory, real=real))

    def _blocks(
        self, view: View, network: FeatureNetwork, images: Tensor, classes: Tensor
    ) -> list[Tensor]:
        """Return the outputs of all blocks for images, equally many of each of these classes."""
        images = self.match.data.prepared(images, classes, view.draws)
        with autocast(images.device, self.match.config.precision):
            return network.features(images)

    @torch.no_grad()
    def _real_features(self, view: View, network: FeatureNetwork, shape: StepShape) -> list[Tensor]:
        """Return the real features of the rank's own classes, for each block.

        Each is [k, n, D], where n is 1 if the distance needs only class means.
        """
        data, own = self.match.data, self.match.world.share(len(view.real))
        at_once, parts = self._classes_at_once(shape, real=True), []
        for some in torch.arange(own.start, own.stop).split(at_once):
            rows = [view.real[label] for label in some.tolist()]
            counts = [len(each) for each in rows]
            images = data.images[torch.cat(rows)].float() / 255
            of_image = to_device(some.repeat_interleave(torch.tensor(counts)), data.device)
            blocks = self._blocks(view, network, images, of_image)
            parts.append([self._summary(block, counts) for block in blocks])
        return [torch.cat(block) for block in zip(*parts, strict=True)]

    def _summary(self, block: Tensor, counts: list[int]) -> Tensor:
        """Return what the distance needs of a block's outputs for some classes, [k, n, D].

        Args:
            block: [N, C, h, w], class by class.
            counts: Images of each class; equal if the distance needs every image.
        """
        if self.distance.needs_every_image:
            return class_features(block, len(counts), self.distance.largest_side)
        features = class_features(block, 1, self.distance.largest_side)[0]
        means = [part.float().mean(0, keepdim=True) for part in features.split(counts)]
        return torch.stack(means)
