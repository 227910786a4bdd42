"""Batched training of several networks: one step for all, with as many operations as for one.

A small network leaves an accelerator mostly idle between kernel launches; several stacked networks
use it fully. On a CPU batched training does not pay: one network keeps the processor busy, and its
fused blocks are faster (:mod:`hmnpack.networks.block`). Three ConvNets of width 32, with batches of
64 CIFAR-sized images, took 1.9 times as long in batched as in sequential training on one core of an
AMD EPYC; ``make bench NAME=together`` measures it on other devices.

Shape legend: B networks, N images of each, n images of a batch, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean

import torch
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import autocast
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import TrainConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.training.batches import Batches, LabelledSet, StackedData, augmented, losses_of
from hmnpack.training.loop import (
    OnBatch,
    TrainState,
    full_precision,
    in_batches,
    learning_rate,
    mean_loss,
    optimiser_of,
    pixels_of,
    restore,
    schedule_of,
    state_of,
    train,
)
from hmnpack.training.stacked import StackedNetworks, can_be_stacked, concatenated

OnBatches = Callable[[slice, Tensor, Tensor, Tensor], None]
"""Is called after a step of b of the networks with the slice of these networks and, stacked, the
arguments of :data:`hmnpack.training.loop.OnBatch`: rows int64 [b, n], logits float32 [b, n, K],
labels int64 [b, n]."""

OnEpochs = Callable[[slice, list[TrainState]], None]
"""Is called after an epoch of some of the networks with the slice of these networks and their
states."""


@dataclass(frozen=True)
class _Training:
    """Arguments of one call that apply to all of its networks."""

    config: TrainConfig
    normalisation: Normalisation
    seed: int
    names: Sequence[str]
    min_steps: int
    resume: Sequence[TrainState | None]
    on_epoch: OnEpochs | None
    on_batch: OnBatches | None
    listener: Listener


def train_together(  # noqa: PLR0913
    networks: Sequence[nn.Module],
    sets: Sequence[LabelledSet],
    config: TrainConfig,
    *,
    normalisation: Normalisation,
    seed: int,
    names: Sequence[str],
    min_steps: int = 0,
    resume: Sequence[TrainState | None] = (),
    on_epoch: OnEpochs | None = None,
    on_batch: OnBatches | None = None,
    listener: Listener = no_progress,
) -> None:
    """Train several networks in place; each result equals that of :func:`hmnpack.training.train`.

    Every network sees the same images, order and random numbers as in a separate training, so its
    final weights are the same up to floating-point summation order.

    Networks are stacked where possible (:class:`hmnpack.training.stacked.StackedNetworks`):
    ConvNets, ResNet-AP, VGG16, ResNet18 and most torchvision models with plain layers. Batch norm
    is supported, with separate running statistics per network. Dropout is supported, too, but its
    masks are drawn for all networks together and differ from those of separate trainings. Single
    networks, networks that cannot be stacked, such as DenseNet121, and networks that resume from
    different epochs are trained sequentially.

    Args:
        networks: B networks of one architecture, on one device; left in training mode. If the
            training fails, stacked networks are left unchanged.
        sets: Images and labels of every network, on any device, all of the same number N, shape
            and dtype. Tensors shared by networks are stored once.
        config: Epochs, batch size, learning rates, augmentation.
        normalisation: Normalisation that the networks expect.
        seed: Seed of the run.
        names: Names of the random streams of every training; not necessarily distinct.
        min_steps: Minimum number of steps; epochs are added to reach it.
        resume: State to resume from for every network, or None for a new training; empty for all
            new.
        on_epoch: Is called with states after every epoch: of all stacked networks, or of one. It
            may raise to stop the training.
        on_batch: Is called after every step; see :data:`OnBatches`.
        listener: Is called after every epoch with the first of ``names``, the completed and total
            epochs summed over all networks, the mean loss and the learning rate.

    Raises:
        Diverged: if a loss is infinite or NaN; the message names the training.
        ValueError: if the numbers of networks, sets and names differ, or if networks or sets have
            different shapes.
    """
    _check_alike(networks, sets, names)
    states = resume or [None] * len(networks)
    training = _Training(
        config, normalisation, seed, names, min_steps, states, on_epoch, on_batch, listener
    )
    image = sets[0][0].shape[1:]
    alike = len({state.epoch if state else 0 for state in states}) == 1
    if len(networks) > 1 and alike and can_be_stacked(networks[0], (image[0], image[1], image[2])):
        _train_stacked(networks, sets, training)
    else:
        _train_sequentially(networks, sets, training)


def _check_alike(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], names: Sequence[str]
) -> None:
    if not len(networks) == len(sets) == len(names) > 0:
        raise ValueError(
            f"got {len(networks)} networks, {len(sets)} sets and {len(names)} names; pass one set "
            "and one name per network"
        )
    if len({(tuple(images.shape), images.dtype, labels.shape) for images, labels in sets}) > 1:
        raise ValueError("sets differ in the shape or dtype of their images; train them separately")
    kinds = [
        (type(network), {name: value.shape for name, value in network.state_dict().items()})
        for network in networks
    ]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError("networks have different architectures; train them separately")


def _train_sequentially(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], training: _Training
) -> None:
    for index, (network, (images, labels)) in enumerate(zip(networks, sets, strict=True)):
        device = next(network.parameters()).device
        train(
            network,
            images.to(device),
            labels.to(device),
            training.config,
            normalisation=training.normalisation,
            seed=training.seed,
            name=training.names[index],
            min_steps=training.min_steps,
            resume=training.resume[index],
            on_epoch=_on_epoch_of_one(index, training.on_epoch),
            on_batch=_on_batch_of_one(index, training.on_batch),
            listener=partial(_report_one, training, index),
        )


def _on_epoch_of_one(index: int, on_epoch: OnEpochs | None) -> Callable[[TrainState], None] | None:
    if on_epoch is None:
        return None
    return lambda state: on_epoch(slice(index, index + 1), [state])


def _on_batch_of_one(index: int, on_batch: OnBatches | None) -> OnBatch | None:
    if on_batch is None:
        return None

    def on_one_batch(rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        on_batch(slice(index, index + 1), rows[None], logits[None], labels[None])

    return on_one_batch


def _report_one(
    training: _Training, index: int, _: str, done: int, total: int, **facts: float
) -> None:
    """Report the progress of one training as part of one stage, named after the first training."""
    count = len(training.names)
    training.listener(training.names[0], index * total + done, count * total, **facts)


def _train_stacked(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], training: _Training
) -> None:
    config, count = training.config, len(networks)
    images, device = len(sets[0][1]), next(networks[0].parameters()).device
    data, stacked = StackedData(sets, device), StackedNetworks(networks).train()
    schedule = schedule_of(config, images, training.min_steps)
    optimiser = optimiser_of(stacked, config)
    first = _restored(stacked, optimiser, [state for state in training.resume if state])
    for epoch in range(first, schedule.epochs):
        generators = [stream(training.seed, name, "epoch", epoch) for name in training.names]
        orders = [torch.randperm(images, generator=generator) for generator in generators]
        losses = torch.zeros(schedule.steps, count, device=device)
        own = stream(training.seed, training.names[0], "network", epoch)
        with seeded_layers(networks[0], own, device):
            order = torch.stack(orders).to(device)
            for step, rows in enumerate(in_batches(order, config.batch, networks[0])):
                rate = learning_rate(config, epoch * schedule.steps + step, schedule.total)
                optimiser.param_groups[0]["lr"] = rate
                batch = data.take(rows)
                losses[step], logits = _step(stacked, optimiser, batch, training, generators)
                if training.on_batch is not None:
                    training.on_batch(slice(0, count), rows, logits, batch[1])
        every = zip(losses.cpu().T, training.names, strict=True)
        means = [mean_loss(own, epoch * schedule.steps, name) for own, name in every]
        done = count * (epoch + 1), count * schedule.epochs
        training.listener(training.names[0], *done, loss=mean(means), lr=rate)
        if training.on_epoch is not None:
            training.on_epoch(slice(0, count), _states(stacked, optimiser, epoch + 1))
    stacked.copy_to(networks)
    for network in networks:
        network.train()


def _states(
    stacked: StackedNetworks, optimiser: torch.optim.Optimizer, epoch: int
) -> list[TrainState]:
    """Return the state of every network, as in a separate training."""
    state = state_of(stacked.network, optimiser, epoch)
    parts = zip(stacked.split(state.network), stacked.split(state.momentum), strict=True)
    return [TrainState(epoch, network, momentum) for network, momentum in parts]


def _restored(
    stacked: StackedNetworks, optimiser: torch.optim.Optimizer, states: Sequence[TrainState]
) -> int:
    """Load the states of the networks, if any, into the stacked one; return their epoch."""
    if not states:
        return 0
    network, momentum = (
        concatenated([getattr(state, name) for state in states]) for name in ("network", "momentum")
    )
    restore(stacked.network, optimiser, TrainState(states[0].epoch, network, momentum))
    return states[0].epoch


def _step(
    stacked: StackedNetworks,
    optimiser: torch.optim.Optimizer,
    batch: Batches,
    training: _Training,
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Do one step of all networks; return their losses [B] and logits [B, n, K]."""
    images, labels = batch
    normal = normalise(pixels_of(images).flatten(0, 1), training.normalisation).view(images.shape)
    mixed, mix = augmented(normal, training.config, generators)
    with autocast(images.device, training.config.precision):
        logits = full_precision(stacked(mixed))
    losses = losses_of(logits, labels, mix)
    optimiser.zero_grad()
    losses.sum().backward()  # the loss of a network is independent of the other networks' weights
    optimiser.step()
    return losses.detach(), logits.detach()
