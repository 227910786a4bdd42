"""Training and testing a classifier on tensors that are on its device.

An epoch does not synchronise with the device: batches are formed, converted, normalised and
augmented there, and losses are read once per epoch. Each epoch has its own random streams (one of
them seeds the device's generator, for dropout), so a resumed training ends with the same weights as
an uninterrupted one.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hmnpack.augment import apply, cutmix, draw, normalise
from hmnpack.errors import Diverged
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import autocast
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import Precision, TrainConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import Images

TEST_BATCH = 500
"""Maximum batch size of testing; see :func:`images_at_a_time`."""

_USUAL_PIXELS = 64 * 64

OnBatch = Callable[[Tensor, Tensor, Tensor], None]
"""Is called with the distinct image indices of a batch (int64 [n]), their logits before the step
(float32 [n, K], in training mode, for the augmented and possibly cut-mixed images) and their labels
(int64 [n])."""


@dataclass(frozen=True)
class TrainState:
    """Everything needed to resume a training after an epoch; holds copies.

    Attributes:
        epoch: Completed epochs.
        network: The network's ``state_dict``.
        momentum: The optimiser's momentum buffers, by parameter name; empty before the first step.
    """

    epoch: int
    network: dict[str, Tensor]
    momentum: dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """Number of steps of a training.

    Attributes:
        epochs: Passes over the images.
        steps: Optimiser steps per epoch; the last batch may be smaller.
    """

    epochs: int
    steps: int

    @property
    def total(self) -> int:
        """Total number of optimiser steps."""
        return self.epochs * self.steps


def schedule_of(config: TrainConfig, images: int, min_steps: int = 0) -> Schedule:
    """Return the schedule for a number of images.

    Args:
        config: Epochs and batch size.
        images: Number of images N, 1 or more.
        min_steps: Minimum number of steps; epochs are added to reach it.
    """
    steps = math.ceil(images / config.batch)
    return Schedule(max(config.epochs, math.ceil(min_steps / steps)), steps)


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the learning rate of a step: constant, or cosine annealing from lr to lr_end."""
    if config.schedule == "constant":
        return config.lr
    part = step / max(total - 1, 1)
    return config.lr_end + (config.lr - config.lr_end) * (1 + math.cos(math.pi * part)) / 2


def train(  # noqa: PLR0913
    network: nn.Module,
    images: Images,
    labels: Tensor,
    config: TrainConfig,
    *,
    normalisation: Normalisation,
    seed: int,
    name: str,
    min_steps: int = 0,
    resume: TrainState | None = None,
    on_epoch: Callable[[TrainState], None] | None = None,
    on_batch: OnBatch | None = None,
    listener: Listener = no_progress,
) -> None:
    """Train a network in place by stochastic gradient descent on cross-entropy.

    Args:
        network: Network on the images' device; left in training mode.
        images: uint8, or float32 in [0, 1]; [N, C, H, W].
        labels: int64 [N], on the images' device.
        config: Epochs, batch size, learning rates, augmentation.
        normalisation: Normalisation that the network expects.
        seed: Seed of the run.
        name: Name of this training's random streams.
        min_steps: Minimum number of steps; epochs are added to reach it.
        resume: State to resume from; all other arguments must be those of the first call.
        on_epoch: Is called with the state after every epoch; it may raise to stop the training.
        on_batch: Is called after every step; see :data:`OnBatch`.
        listener: Is called after every epoch with stage ``name``, mean loss and learning rate.

    Raises:
        Diverged: if a loss is infinite or NaN.
    """
    schedule = schedule_of(config, len(images), min_steps)
    optimiser = optimiser_of(network, config)
    if resume is not None:
        restore(network, optimiser, resume)
    network.train()
    for epoch in range(resume.epoch if resume else 0, schedule.epochs):
        losses = torch.zeros(schedule.steps, device=images.device)
        generator = stream(seed, name, "epoch", epoch)
        own = stream(seed, name, "network", epoch)
        with seeded_layers(network, own, images.device):
            order = torch.randperm(len(images), generator=generator).to(images.device)
            for step, rows in enumerate(in_batches(order, config.batch, network)):
                rate = learning_rate(config, epoch * schedule.steps + step, schedule.total)
                optimiser.param_groups[0]["lr"] = rate
                batch, target = normalise(pixels_of(images[rows]), normalisation), labels[rows]
                loss, logits = sgd_step(network, optimiser, batch, target, config, generator)
                losses[step] = loss
                if on_batch is not None:
                    on_batch(rows, logits, target)
        mean = mean_loss(losses, epoch * schedule.steps, name)
        listener(name, epoch + 1, schedule.epochs, loss=mean, lr=rate)
        if on_epoch is not None:
            on_epoch(state_of(network, optimiser, epoch + 1))


def in_batches(order: Tensor, size: int, network: nn.Module) -> tuple[Tensor, ...]:
    """Split shuffled rows [..., N] into batches; the last one may be smaller.

    Batch norm cannot train on a single image whose last map is a single pixel. For networks with
    batch norm, a last batch of one image takes a second one from the batch before, if the batch
    size is at least 3.
    """
    count = order.shape[-1]
    if count % size == 1 and 2 < size < count and has_batch_norm(network):
        sizes = [size] * (count // size - 1) + [size - 1, 2]
        return tuple(order.split(sizes, -1))
    return tuple(order.split(size, -1))


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether a network contains batch normalisation."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def optimiser_of(network: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """Return the optimiser of a training, at its initial learning rate."""
    return torch.optim.SGD(
        network.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay
    )


def pixels_of(images: Tensor) -> Tensor:
    """Return the images as floats in [0, 1]; uint8 is divided by 255."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def is_cut(config: TrainConfig, generator: torch.Generator) -> bool:
    """Draw whether to apply CutMix to a batch."""
    return float(torch.rand((), generator=generator)) < config.cutmix


def full_precision(logits: Tensor) -> Tensor:
    """Convert logits to float32 for the loss; float64 is returned unchanged."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def sgd_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Tensor,
    target: Tensor,
    config: TrainConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Do one step; return its loss and its logits [n, K], both on the device.

    Args:
        network: Network in training mode, on the batch's device.
        optimiser: Optimiser of its parameters.
        batch: Normalised images [n, C, H, W].
        target: Labels, int64 [n].
        config: Augmentation, CutMix and precision.
        generator: Random generator of the augmentation.
    """
    loss, logits, _ = training_loss(network, batch, target, config, generator)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach(), logits.detach()


def training_loss(
    network: nn.Module,
    batch: Tensor,
    target: Tensor,
    config: TrainConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of a batch, its logits [n, K], and the images that the network was shown.

    These are augmented and possibly cut-mixed. The arguments are those of :func:`sgd_step`.
    """
    draws = draw(config.augment, len(batch), generator, one_spatial=True, device=batch.device)
    shown = apply(batch, draws)
    partner, kept = None, 1.0
    if is_cut(config, generator):
        shown, partner, kept = cutmix(shown, generator)
    with autocast(shown.device, config.precision):
        logits = full_precision(network(shown))
    loss = F.cross_entropy(logits, target)
    if partner is not None:
        loss = kept * loss + (1 - kept) * F.cross_entropy(logits, target[partner])
    return loss, logits, shown


def mean_loss(losses: Tensor, first_step: int, name: str) -> float:
    """Return the mean loss of an epoch; the only synchronisation with the device per epoch.

    Args:
        losses: Loss of every step, float [steps].
        first_step: Index of the first step.
        name: Name of the training, for the error message.

    Raises:
        Diverged: if a loss is infinite or NaN.
    """
    values = losses.cpu()
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        raise Diverged(
            f"{name}: the loss became {float(values[bad[0, 0]])} at step "
            f"{first_step + int(bad[0, 0])}; use a lower learning rate"
        )
    return float(values.mean())


def state_of(network: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> TrainState:
    """Return the state to resume a training from after ``epoch`` epochs."""
    buffers = {
        name: optimiser.state[parameter].get("momentum_buffer")
        for name, parameter in network.named_parameters()
    }
    return TrainState(
        epoch,
        {name: value.detach().clone() for name, value in network.state_dict().items()},
        {name: value.clone() for name, value in buffers.items() if value is not None},
    )


def restore(network: nn.Module, optimiser: torch.optim.Optimizer, state: TrainState) -> None:
    """Load a state from :func:`state_of` into a network and its optimiser."""
    network.load_state_dict(state.network)
    for name, parameter in network.named_parameters():
        if name in state.momentum:
            buffer = torch.empty_like(parameter).copy_(state.momentum[name])
            optimiser.state[parameter]["momentum_buffer"] = buffer


def images_at_a_time(most: int, height: int, width: int) -> int:
    """Return the batch size for images of a size: smaller for more than 64 x 64 pixels.

    Args:
        most: Batch size for images of up to 64 x 64 pixels.
        height: Image height, in pixels.
        width: Image width, in pixels.
    """
    return min(most, max(1, most * _USUAL_PIXELS // (height * width)))


@torch.no_grad()
def accuracy(
    network: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    normalisation: Normalisation,
    precision: Precision = "auto",
) -> float:
    """Return the top-1 accuracy in percent.

    Args:
        network: Network on the images' device; used in evaluation mode, its mode is restored.
        images: uint8, or float32 in [0, 1]; [N, C, H, W].
        labels: int64 [N].
        normalisation: Normalisation that the network expects.
        precision: Precision of the forward pass.
    """
    was_training = network.training
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=images.device)
    size = images_at_a_time(TEST_BATCH, images.shape[2], images.shape[3])
    for batch, target in zip(images.split(size), labels.split(size), strict=True):
        with autocast(images.device, precision):
            logits = network(normalise(pixels_of(batch), normalisation))
        correct += (logits.argmax(1) == target).sum()
    network.train(was_training)
    return 100 * int(correct) / len(images)
