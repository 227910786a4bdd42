"""A network that learns stage by stage: its growing last layer, and the training after a stage.

Shape legend: N images, K classes seen so far, of which k before this stage.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.networks import build_network
from hmnpack.runtime.devices import autocast
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.continual import ContinualConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.training import NetworkConfig
from hmnpack.training.batches import LabelledSet
from hmnpack.training.loop import (
    full_precision,
    in_batches,
    mean_loss,
    optimiser_of,
    pixels_of,
    training_loss,
)


def widened(
    old: nn.Module | None,
    config: NetworkConfig,
    classes: int,
    image: ImageShape,
    generator: torch.Generator,
) -> nn.Module:
    """Return a network for more classes, with the weights of an old one (paper appendix C).

    Args:
        old: The network of the stage before; None: all weights are random.
        config: Architecture, the same as the old one's.
        classes: Number of classes K seen so far.
        image: Shape of the images.
        generator: Source of the weights that the old network lacks.
    """
    network = build_network(config, classes=classes, image=image, generator=generator)
    if old is None:
        return network
    weights = network.state_dict()
    for name, value in old.state_dict().items():
        if value.dim() and weights[name].shape != value.shape:
            weights[name][: len(value)] = value
        else:
            weights[name].copy_(value)
    return network


def distillation_loss(logits: Tensor, before: Tensor, temperature: float) -> Tensor:
    """Return the divergence from a network's earlier predictions (Li and Hoiem; as IDC scales it).

    It is T^2 times the Kullback-Leibler divergence at temperature T, the mean over images.

    Args:
        logits: Predictions for all classes, [N, K].
        before: Predictions of the network before this stage, [N, k]; k <= K.
        temperature: T.
    """
    ours = F.log_softmax(logits[:, : before.shape[1]] / temperature, 1)
    theirs = F.log_softmax(before / temperature, 1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def learn(  # noqa: PLR0913
    network: nn.Module,
    data: LabelledSet,
    config: ContinualConfig,
    *,
    normalisation: Normalisation,
    seed: int,
    name: str,
    teacher: nn.Module | None = None,
    listener: Listener = no_progress,
) -> None:
    """Train a network in place on all that was stored so far.

    Args:
        network: Network on the images' device.
        data: All stored images, uint8 or float32 in [0, 1] [N, C, H, W], and labels, int64 [N].
        config: The protocol.
        normalisation: Normalisation that the network expects.
        seed: Seed of the run.
        name: Name of this training's random streams.
        teacher: The network of the stage before, to distil from, or None.
        listener: Called after every epoch with stage ``name``, mean loss and learning rate.

    Raises:
        Diverged: if a loss is infinite or NaN.
    """
    images, labels = data
    if not config.distillation:
        teacher = None
    elif teacher is not None:
        teacher.requires_grad_(False).eval()
    optimiser = optimiser_of(network, config.train)
    network.train()
    for epoch in range(config.train.epochs):
        rate = config.rate(epoch)
        optimiser.param_groups[0]["lr"] = rate
        generator = stream(seed, name, "epoch", epoch)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        losses = []
        for rows in in_batches(order, config.train.batch, network):
            batch = normalise(pixels_of(images[rows]), normalisation)
            loss = _loss((network, teacher), batch, labels[rows], config, generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        mean = mean_loss(torch.stack(losses), epoch * len(losses), name)
        listener(name, epoch + 1, config.train.epochs, loss=mean, lr=rate)


def _loss(
    networks: tuple[nn.Module, nn.Module | None],
    batch: Tensor,
    target: Tensor,
    config: ContinualConfig,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss of a batch: cross-entropy, and the divergence from the teacher."""
    network, teacher = networks
    loss, logits, shown = training_loss(network, batch, target, config.train, generator)
    if teacher is None:
        return loss
    with torch.no_grad(), autocast(shown.device, config.train.precision):
        before = full_precision(teacher(shown))
    return loss + config.distillation * distillation_loss(logits, before, config.temperature)
