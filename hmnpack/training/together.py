"""Training several networks at once: one step for all, in as many operations as a step for one.

On an accelerator a small network leaves most of the device idle, as it waits for the next
operation to be launched, and several side by side fill it. On a CPU it does not pay: one network
keeps the processor busy, and its blocks are faster alone (:mod:`hmnpack.networks.block`). Three
ConvNets of width 32, in batches of 64 CIFAR-sized images, took 1.9 times as long at once on one
core of an AMD EPYC; ``make bench NAME=together`` measures it on other devices.

Shape legend: B networks, N images of each, n images of a batch, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean

import torch
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.runtime.devices import autocast
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import TrainConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.training.batches import LabelledSet, StackedData, augmented, losses_of
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
from hmnpack.training.stacked import StackedNetworks, can_be_wide, joined

OnBatches = Callable[[slice, Tensor, Tensor, Tensor], None]
"""Hears of a batch of some of the networks, b of them: which ones, then of each what
:data:`hmnpack.training.loop.OnBatch` hears: rows int64 [b, n], logits [b, n, K], labels
int64 [b, n]."""

OnEpochs = Callable[[slice, list[TrainState]], None]
"""Is given the states of some of the networks, and which these are, after each of their epochs."""


@dataclass(frozen=True)
class _Lesson:
    """What the networks of one call have in common."""

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
    """Train networks in place, each as :func:`hmnpack.training.train` trains it alone.

    Every network has the images, the order and the random numbers that it has alone, so its
    weights end the same, up to the rounding of sums that are added in another order.

    The networks go side by side (:class:`hmnpack.training.stacked.StackedNetworks`): ConvNets,
    ResNet-AP, VGG16 and ResNet18, and most of torchvision that are made of plain layers. Batch
    norm is supported, with each network's own running statistics; so is dropout, whose masks are
    drawn for all networks together, and are others than alone. Networks that cannot go side by
    side, such as DenseNet121, that go on from different epochs, or a single one, are trained one
    after another.

    Args:
        networks: B of one architecture, on one device; left in training mode. If the training
            fails, they are as they were, where they go side by side.
        sets: Images of every network, on any device, all of the same number N, shape and type.
            What is one tensor for several networks is held once.
        config: Epochs, batch, rates, augmentation.
        normalisation: Of the images, as the networks expect them.
        seed: Seed of the run.
        names: Of every training's random streams; some may be alike.
        min_steps: Epochs are added until there are this many steps.
        resume: The state that each network goes on from, None for one that begins; empty: all do.
        on_epoch: Is given such states after every epoch: of all networks where they go side by
            side, else of one; it may raise to stop the training.
        on_batch: Is given what the networks said of every batch.
        listener: Hears of every epoch: the name of the first training; epochs that are done, and
            all, counted over all networks; the mean loss and the learning rate.

    Raises:
        Diverged: if a loss is infinite or not a number; the text names the training.
        ValueError: if there are not as many networks, sets and names, or they are not alike.
    """
    _check_alike(networks, sets, names)
    states = resume or [None] * len(networks)
    lesson = _Lesson(
        config, normalisation, seed, names, min_steps, states, on_epoch, on_batch, listener
    )
    image = sets[0][0].shape[1:]
    alike = len({state.epoch if state else 0 for state in states}) == 1
    if len(networks) > 1 and alike and can_be_wide(networks[0], (image[0], image[1], image[2])):
        _train_side_by_side(networks, sets, lesson)
    else:
        _train_one_by_one(networks, sets, lesson)


def _check_alike(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], names: Sequence[str]
) -> None:
    if not len(networks) == len(sets) == len(names) > 0:
        raise ValueError(
            f"{len(networks)} networks, {len(sets)} sets and {len(names)} names; give one of each "
            "for every network"
        )
    if len({(images.shape, images.dtype, labels.shape) for images, labels in sets}) > 1:
        raise ValueError("sets of different numbers or kinds of images; train them one by one")
    kinds = [
        (type(network), {name: value.shape for name, value in network.state_dict().items()})
        for network in networks
    ]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError("networks of different architectures; train them one by one")


def _train_one_by_one(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], lesson: _Lesson
) -> None:
    for index, (network, (images, labels)) in enumerate(zip(networks, sets, strict=True)):
        device = next(network.parameters()).device
        train(
            network,
            images.to(device),
            labels.to(device),
            lesson.config,
            normalisation=lesson.normalisation,
            seed=lesson.seed,
            name=lesson.names[index],
            min_steps=lesson.min_steps,
            resume=lesson.resume[index],
            on_epoch=_state_of_one(index, lesson.on_epoch),
            on_batch=_one_of(index, lesson.on_batch),
            listener=partial(_told_of_one, lesson, index),
        )


def _state_of_one(index: int, on_epoch: OnEpochs | None) -> Callable[[TrainState], None] | None:
    if on_epoch is None:
        return None
    return lambda state: on_epoch(slice(index, index + 1), [state])


def _one_of(index: int, on_batch: OnBatches | None) -> OnBatch | None:
    if on_batch is None:
        return None

    def hear(rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        on_batch(slice(index, index + 1), rows[None], logits[None], labels[None])

    return hear


def _told_of_one(
    lesson: _Lesson, index: int, _: str, done: int, total: int, **facts: float
) -> None:
    """Tell of one of several trainings, which are one stage, of the first one's name."""
    count = len(lesson.names)
    lesson.listener(lesson.names[0], index * total + done, count * total, **facts)


def _train_side_by_side(
    networks: Sequence[nn.Module], sets: Sequence[LabelledSet], lesson: _Lesson
) -> None:
    config, count = lesson.config, len(networks)
    images, device = len(sets[0][1]), next(networks[0].parameters()).device
    pile, wide = StackedData(sets, device), StackedNetworks(networks).train()
    schedule = schedule_of(config, images, lesson.min_steps)
    optimiser = optimiser_of(wide, config)
    first = _restored(wide, optimiser, [state for state in lesson.resume if state])
    for epoch in range(first, schedule.epochs):
        generators = [stream(lesson.seed, name, "epoch", epoch) for name in lesson.names]
        orders = [torch.randperm(images, generator=generator) for generator in generators]
        losses = torch.zeros(schedule.steps, count, device=device)
        with seeded_rng(stream(lesson.seed, lesson.names[0], "network", epoch), device):
            order = torch.stack(orders).to(device)
            for step, rows in enumerate(in_batches(order, config.batch, networks[0])):
                rate = learning_rate(config, epoch * schedule.steps + step, schedule.total)
                optimiser.param_groups[0]["lr"] = rate
                batch = pile.take(rows)
                losses[step], logits = _step(wide, optimiser, batch, lesson, generators)
                if lesson.on_batch is not None:
                    lesson.on_batch(slice(0, count), rows, logits, batch[1])
        every = zip(losses.cpu().T, lesson.names, strict=True)
        means = [mean_loss(own, epoch * schedule.steps, name) for own, name in every]
        done = count * (epoch + 1), count * schedule.epochs
        lesson.listener(lesson.names[0], *done, loss=mean(means), lr=rate)
        if lesson.on_epoch is not None:
            lesson.on_epoch(slice(0, count), _states(wide, optimiser, epoch + 1))
    wide.give_back(networks)
    for network in networks:
        network.train()


def _states(
    wide: StackedNetworks, optimiser: torch.optim.Optimizer, epoch: int
) -> list[TrainState]:
    """Return the state of every network, as it has it alone."""
    whole = state_of(wide.network, optimiser, epoch)
    parts = zip(wide.parted(whole.network), wide.parted(whole.momentum), strict=True)
    return [TrainState(epoch, network, momentum) for network, momentum in parts]


def _restored(
    wide: StackedNetworks, optimiser: torch.optim.Optimizer, states: Sequence[TrainState]
) -> int:
    """Give the wide network its parts' states, if there are any; return their epochs."""
    if not states:
        return 0
    network, momentum = (
        joined([getattr(state, name) for state in states]) for name in ("network", "momentum")
    )
    restore(wide.network, optimiser, TrainState(states[0].epoch, network, momentum))
    return states[0].epoch


def _step(
    wide: StackedNetworks,
    optimiser: torch.optim.Optimizer,
    batch: LabelledSet,
    lesson: _Lesson,
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Do one step of every network; return their losses [B], and the logits that these are of."""
    images, labels = batch
    normal = normalise(pixels_of(images).flatten(0, 1), lesson.normalisation).view(images.shape)
    mixed, mix = augmented(normal, lesson.config, generators)
    with autocast(images.device, lesson.config.precision):
        logits = full_precision(wide(mixed))
    losses = losses_of(logits, labels, mix)
    optimiser.zero_grad()
    losses.sum().backward()  # no network's loss depends on another's weights
    optimiser.step()
    return losses.detach(), logits.detach()
