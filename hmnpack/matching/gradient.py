"""Gradient matching: the objective of the paper (equation 2), with details of its code base (IDC).

For each class, the gradient of a network's convolution weights on synthetic images is matched to
that on real images under the same augmentation. Between steps the network is trained on real
images. Classes are processed in chunks, each of which yields its loss and the gradient of its
images. Memory holds one chunk's activations at a time, and results do not depend on the chunk size.

Shape legend: K classes, k of them in a chunk, n images of each, C H W as usual.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hmnpack.augment import Draws, draw
from hmnpack.container import Container
from hmnpack.matching.chunks import AdaptiveChunkSize, with_gradient
from hmnpack.matching.distances import GRADIENT_DISTANCES
from hmnpack.matching.footprint import Memory, gradient_classes, gradient_step
from hmnpack.matching.learner import Learner
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.sampling import EpochSampler, choose_instances
from hmnpack.networks import ConvNet
from hmnpack.networks.derivatives import (
    AutogradPass,
    ConvNetPass,
    Pass,
    images_at_once,
)
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import low_precision, to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import GradientConfig


class GradientMatching(Objective):
    """The objective of the stage ``gradient``.

    Args:
        match: Data, settings.
    """

    def __init__(self, match: Match[GradientConfig]) -> None:
        self.match = match
        self.own: range = match.world.share(match.data.classes)
        self.learner: Learner = Learner(match)
        self.sampler: EpochSampler = EpochSampler(
            match.data.labels, self.own, match.config.real_batch, match.seed
        )
        self._chunk_size = AdaptiveChunkSize(repeatable=match.world.size == 1)

    def loss(self, container: Container, step: int) -> Tensor:
        """Train the network, then return the loss of this rank's classes; see ``Objective``."""
        config, data = self.match.config, self.match.data
        number, inner = divmod(step, config.inner_steps)
        if inner == 0:
            self.learner.begin(number)
        else:
            self.learner.advance(step - 1)
        generator = stream(self.match.seed, "gradient", "step", step)
        draws = draw(config.augment, data.classes, generator, device=data.device)
        chosen = choose_instances(container.spec, config.synthetic_batch, generator)
        real = to_device(self.sampler.batch(step), data.device)
        drawn = _Drawn(step, chosen, real, draws)
        return self._chunk_size.run(partial(self._loss, container, drawn))

    def state(self) -> dict[str, Any]:
        """Return the network's state."""
        return self.learner.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.learner.restore(state)

    def _loss(self, container: Container, drawn: "_Drawn") -> Tensor:
        """Return the loss of the own classes, as a function of the container."""
        data, own = self.match.data, self.own
        classes = torch.arange(own.start, own.stop, device=data.device)
        some = to_device(drawn.chosen[own.start : own.stop], data.device)
        images = data.prepared(container.expand(some.flatten()), classes, drawn.draws)
        shape = gradient_step(self.match.config, container.spec, len(own))
        memory = Memory(data.device.type == "cpu", self.match.max_memory)
        at_once = self._chunk_size.limit(gradient_classes(shape, memory))
        total, gradients = images.new_zeros(()), []
        for label, labels, rows, mine in zip(
            own[::at_once],
            classes.split(at_once),
            drawn.real.split(at_once),
            images.detach().split(at_once * some.shape[1]),
            strict=True,
        ):
            masks = stream(self.match.seed, "gradient", "network's own", drawn.step, label)
            with seeded_layers(self.learner.network, masks, data.device):
                theirs = self._gradients_of_real(rows, labels, drawn.draws)
                loss, gradient = self._matched(mine, labels, theirs)
            total += loss
            gradients.append(gradient)
        return with_gradient(images, total, torch.cat(gradients))

    @torch.no_grad()
    def _gradients_of_real(self, rows: Tensor, labels: Tensor, draws: Draws) -> list[Tensor]:
        dtype = next(self.learner.network.parameters()).dtype
        images = self.match.data.images[rows.flatten()].to(dtype) / 255
        images = self.match.data.prepared(images, labels, draws)
        return _summed(self._passes(images, labels, keep=False))

    @torch.no_grad()
    def _matched(
        self, images: Tensor, labels: Tensor, theirs: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the distance of a chunk of classes, and the gradient of its images.

        The gradient is [k * n, C, H, W].
        """
        distance = GRADIENT_DISTANCES[self.match.config.distance]
        passes = list(self._passes(images, labels, keep=True))
        pairs = zip(_summed(iter(passes)), theirs, strict=True)
        parts = [distance(mine - real) for mine, real in pairs]
        directions = [derivative.to(passes[0].dtype) for _, derivative in parts]
        gradient = torch.cat([each.along(directions) for each in passes]).to(images)
        return torch.stack([value for value, _ in parts]).sum(), gradient

    def _passes(self, images: Tensor, labels: Tensor, *, keep: bool) -> Iterator[Pass]:
        """Yield the passes over a chunk; only a single class is split into several slices."""
        network = self.learner.network
        each = len(images) // len(labels)
        names = labels.repeat_interleave(each)
        if low_precision(images.device, self.match.config.precision):
            images = images.bfloat16()
        if not isinstance(network, ConvNet) or network.patch > 1:
            yield AutogradPass(network, images, names, len(labels), 1 / each, keep=keep)
            return
        size = images_at_once(network, images) if len(labels) == 1 else len(images)
        for part, some in zip(images.split(size), names.split(size), strict=True):
            yield ConvNetPass(network, part, some, len(labels), 1 / each)


@dataclass(frozen=True)
class _Drawn:
    """The random choices of a step.

    Attributes:
        step: Index of the step.
        chosen: Indices of synthetic images of every class, int64 [K, n].
        real: Indices of real images of the rank's own classes, int64 [own classes, n].
        draws: Augmentation, one draw per class.
    """

    step: int
    chosen: Tensor
    real: Tensor
    draws: Draws


def _at_least_float32(gradient: Tensor) -> Tensor:
    """Return a copy in float32 or wider: sums and differences in bfloat16 lose precision."""
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32), copy=True)


def _summed(passes: Iterator[Pass]) -> list[Tensor]:
    """Return the weight gradients of the same classes, summed over several passes."""
    total: list[Tensor] | None = None
    for each in passes:
        if total is None:
            total = [_at_least_float32(gradient) for gradient in each.weight_gradients]
        else:
            for layer, gradient in zip(total, each.weight_gradients, strict=True):
                layer.add_(gradient)
    assert total is not None  # noqa: S101 - a class has images
    return total
