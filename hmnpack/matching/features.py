"""Feature matching: features of each class, through networks between untrained and trained.

A distance of real and synthetic features, over the outputs of every block, through interpolated
networks or snapshots of their trainings, plus a network's cross-entropy on the synthetic images,
plus, on demand, the error of kernel ridge regression on their last features. All classes make one
step together, in one batch or, on a CPU, in several small ones.

Shapes: K classes, n real and m synthetic images per class in a batch, D features of a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.flops import is_counted
from hmnpack.footprint import load_of_features
from hmnpack.matching.chunks import AsManyAsFit, chunked, classes_at_once
from hmnpack.matching.comparison import MEANS, Comparison, grouped
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.pool import Pool
from hmnpack.matching.queue import Queue
from hmnpack.matching.reference import Reference, references
from hmnpack.matching.regression import Regression, refuse_regression, regression_of
from hmnpack.matching.views import View, Views
from hmnpack.networks import FeatureNetwork
from hmnpack.runtime import autocast, sent
from hmnpack.schema.config import MatchConfig, NetworkConfig
from hmnpack.schema.container import ImageShape

KEPT_BYTES = 4 * 2**30
"""Most that is kept of views where no bound is known; of more views, some are computed again."""

CPU_CHUNK = 64 * 32 * 32
"""Pixels at a time on a CPU: layers then stay in its cache, and memory is used again at once."""


def kept_of_views(max_memory: int | None) -> int:
    """Return the most bytes that are kept of views, where so many are free (None: unknown)."""
    return KEPT_BYTES if max_memory is None else max_memory // 2


def feature_classes(  # noqa: PLR0913
    match: MatchConfig,
    network: NetworkConfig,
    image: ImageShape,
    images: int,
    *,
    classes: int,
    on_cpu: bool,
    max_memory: int | None,
) -> int:
    """Return how many classes are done at a time, in the memory that kept views leave.

    Args:
        match: Settings.
        network: What is matched through.
        image: Shape of an image.
        images: Of each class.
        classes: All of them.
        on_cpu: Where little at a time is fastest.
        max_memory: Bytes, elsewhere; None: no bound.
    """
    if on_cpu:
        return min(classes, max(1, CPU_CHUNK // (images * image.height * image.width)))
    if not is_counted(network):
        return classes
    if max_memory is not None and match.views:
        max_memory -= kept_of_views(max_memory)
    return classes_at_once(classes, load_of_features(match, network, image, images), max_memory)


class FeatureMatching(Objective):
    """The objectives ``features``, ``mmd`` and ``characteristic``.

    Args:
        match: Data, networks, settings.
        comparison: What of the features is compared.

    Raises:
        BadSettings: if there is no pool and no queue, or views of a queue; or ``match.krr`` is
            asked of several ranks, or of a device without float64; or ``match.snapshots`` of a pool
            that has none.
    """

    def __init__(self, match: Match[MatchConfig], comparison: Comparison = MEANS) -> None:
        refuse_regression(match.config, match.data.device, match.world)
        self.match = match
        self.comparison = comparison
        self.queue = Queue(match) if match.config.queue.size else None
        self.pool = _networks(match, self.queue)
        self.views = Views(match, self.pool)
        self._kept: dict[int, _Real] = {}
        self._most: int | None = None
        self._fitting = AsManyAsFit(repeatable=match.world.size == 1)

    @property
    def blocks(self) -> list[range]:
        """All of this rank's classes make one step together."""
        return [self.match.world.share(self.match.data.classes)]

    def losses(self, container: Container, step: int) -> Iterator[Tensor]:
        """Give the step's one loss; a queue changes before and after; see ``Objective``."""
        if self.queue is not None:
            self.queue.renew(step)
        yield self.loss(container, step)
        if self.queue is not None:
            self.queue.advance(step)

    def state(self) -> dict[str, Any]:
        """Return the queue's networks, if there is one."""
        return {} if self.queue is None else self.queue.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        if self.queue is not None:
            self.queue.restore(state)

    def loss(self, container: Container, step: int) -> Tensor:
        """Return the loss of this rank's classes; gradients flow to the container.

        Args:
            container: Decodes the synthetic images.
            step: Decides every random number of the step, together with the seed.
        """
        return self._fitting.done(partial(self._loss_of, container, step))

    def _loss_of(self, container: Container, step: int) -> Tensor:
        view, chosen = self.views.at(container.spec, step)
        own = self.match.world.share(len(chosen))
        chosen = sent(chosen[own.start : own.stop], self.match.data.device)
        through = self._through(view)
        real = self._real(through)
        images = container.expand(chosen.flatten())
        regression = self._regression(through, images.detach(), real.last)
        weight = self.match.config.classification_of(container.spec.instances)
        terms = _Terms(real.references, regression, weight)
        return chunked(
            images,
            own,
            self._classes_at_once(chosen.shape[1]),
            lambda some, classes: self._loss(through, some, classes, terms),
        )

    def _through(self, view: View) -> "_Through":
        """Return the network of a view, and the one whose cross-entropy it is."""
        index, config = view.network, self.match.config
        if view.epoch is None:
            between = judge = self.pool.between(index, view.part)
        else:
            between = self.pool.snapshot(index, view.epoch)
            judge = self.pool.snapshot(index, view.epoch if view.later is None else view.later)
        if config.classifier == "trained":
            judge = self.pool.trained(index)
        return _Through(between, judge, view)

    def _real(self, through: "_Through") -> "_Real":
        """Return the real side of a view, which is kept if the view comes again."""
        number = through.view.number
        real = self._kept.get(number)
        if real is None:
            features, last = self._real_features(through)
            real = _Real(references(features, self.comparison, self.match, number), last)
            if self.match.config.views and len(self._kept) < self._most_kept(real):
                self._kept[number] = real
        return real

    def _most_kept(self, real: "_Real") -> int:
        """Return of how many views the real side may be kept: the same for all ranks.

        They compute it together, so that each must know of every view which the others have.
        """
        if self._most is None:
            bound = kept_of_views(self.match.max_memory)
            self._most = self.match.world.of_leader(bound // real.bytes)
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

    def _blocks(self, through: "_Through", images: Tensor, classes: Tensor) -> list[Tensor]:
        """Return the outputs of all blocks for images of some classes."""
        images = self.match.data.prepared(images, classes, through.view.draws)
        with autocast(images.device, self.match.config.precision):
            return through.between.features(images)

    def _grouped(self, blocks: list[Tensor], classes: int) -> list[Tensor]:
        """Return the features that are compared, [k, n, D] for each block."""
        compared = blocks if self.match.config.blocks == "all" else blocks[-1:]
        cells = self.match.config.cells or self.comparison.cells
        return [grouped(block, classes, cells) for block in compared]

    @torch.no_grad()
    def _real_features(self, through: "_Through") -> tuple[list[Tensor], list[Tensor]]:
        """Return what the distance needs of each block, and all last features if they are needed.

        Of the own classes' real images, [k, n, D] each, n being 1 where the mean will do; the last
        ones in parts.
        """
        real = through.view.real
        own = self.match.world.share(len(real))
        classes = torch.arange(own.start, own.stop, device=real.device)
        parts, last = [], []
        for some in classes.split(self._classes_at_once(real.shape[1])):
            images = self.match.data.images[real[some].flatten()].float() / 255
            blocks = self._blocks(through, images, some)
            features = self._grouped(blocks, len(some))
            if not self.comparison.whole:
                features = [block.float().mean(1, keepdim=True) for block in features]
            parts.append(features)
            if self.match.config.krr:
                last.append(grouped(blocks[-1], len(some), cells=0))
        return [torch.cat(block) for block in zip(*parts, strict=True)], last

    def _regression(
        self, through: "_Through", images: Tensor, real: list[Tensor]
    ) -> Regression | None:
        """Return the regression on all synthetic images, whose features have no graph."""
        if not real:
            return None
        by_class = images.unflatten(0, (self.match.data.classes, -1))
        classes = torch.arange(len(by_class), device=images.device)
        parts = []
        for some in classes.split(self._classes_at_once(by_class.shape[1])):
            with torch.no_grad():
                last = self._blocks(through, by_class[some].flatten(0, 1), some)[-1]
            parts.append(grouped(last, len(some), cells=0))
        return regression_of(torch.cat(real), torch.cat(parts), self.match.config)

    def _loss(
        self, through: "_Through", images: Tensor, classes: Tensor, terms: "_Terms"
    ) -> Tensor:
        """Return the part of the loss that belongs to some classes."""
        config, data = self.match.config, self.match.data
        part = len(classes) / data.classes
        places = classes - self.match.world.share(data.classes).start
        images = self.match.data.prepared(images, classes, through.view.draws)
        with autocast(images.device, config.precision):
            blocks = through.between.features(images)
        loss = images.new_zeros(())
        features = self._grouped(blocks, len(classes))
        for reference, block in zip(terms.references, features, strict=True):
            loss = loss + reference.loss(block.float(), places)
        if terms.regression is not None:
            loss = loss + terms.regression.of(blocks[-1], classes)
        if terms.classification:
            labels = classes.repeat_interleave(len(images) // len(classes))
            share, logits = self._classified(through, images, blocks[-1])
            weight = terms.classification * share
            loss = loss + weight * F.cross_entropy(logits, labels) * part
        return loss

    def _classified(
        self, through: "_Through", images: Tensor, last: Tensor
    ) -> tuple[float, Tensor]:
        """Return the part of the cross-entropy's weight that counts, and the logits it is taken of.

        All counts at a network that was trained; at an interpolated one the less, the less it is.
        """
        with autocast(images.device, self.match.config.precision):
            if through.judge is not through.between:
                return 1.0, through.judge(images).float()
            return 1 - through.view.part, through.between.classified(last).float()


def _networks(match: Match[MatchConfig], queue: Queue | None) -> Pool:
    networks = match.pool if queue is None else queue
    if networks is None:
        raise BadSettings(f"the objective {match.config.objective} needs a pool of networks")
    if match.config.snapshots is not None and not networks.epochs:
        raise BadSettings(
            "match.snapshots needs networks whose weights were kept after every epoch; leave out "
            "match.queue, or match.snapshots"
        )
    return networks


@dataclass(frozen=True)
class _Through:
    """What the images of a step go through.

    Attributes:
        between: The network whose features are matched.
        judge: The one whose cross-entropy on the synthetic images is taken; may be the same.
        view: Says which they are.
    """

    between: FeatureNetwork
    judge: FeatureNetwork
    view: View


@dataclass(frozen=True)
class _Real:
    """The real side of a view.

    Attributes:
        references: One for each block that is compared.
        last: The last features of the own classes' real images, in parts; empty where no
            regression is asked for.
    """

    references: list[Reference]
    last: list[Tensor]

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        last = sum(some.numel() * some.element_size() for some in self.last)
        return last + sum(reference.bytes for reference in self.references)


@dataclass(frozen=True)
class _Terms:
    """What the terms of a step's loss need, beside the synthetic images.

    Attributes:
        references: Of the distance, one for each block.
        regression: Of the real images on the synthetic ones, if it is wanted.
        classification: Weight of the cross-entropy, of which an interpolated network takes a part.
    """

    references: list[Reference]
    regression: Regression | None
    classification: float
