"""Synthetic images of methods to compare with: those of a step, and all of them for training."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.augment import apply
from hmnpack.container import Container
from hmnpack.matching.families import draw_family
from hmnpack.matching.sampling import choose_instances
from hmnpack.runtime.devices import to_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.training import Augmentation


def chosen_images(container: Container, most: int, seed: int, step: int) -> Tensor:
    """Return some synthetic images of every class, class by class: [K * m, C, H, W].

    Args:
        container: Decodes the images; gradients flow to its parameters.
        most: Maximum images per class m; with fewer, all, in the container's order.
        seed: Seed of the run.
        step: Index of the step.
    """
    spec = container.spec
    if spec.largest <= most:
        return container.expand()
    chosen = choose_instances(spec, most, stream(seed, "rival", "synthetic", step))
    return container.expand(to_device(chosen.flatten(), next(container.parameters()).device))


def train_epoch(  # noqa: PLR0913
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    batch: int,
    augment: tuple[Augmentation, ...],
    generator: torch.Generator,
) -> None:
    """Train a network for an epoch, in random order; the last batch may be smaller.

    Args:
        network: Trained in place.
        optimiser: Optimiser of its parameters.
        images: Normalised, [N, C, H, W].
        labels: int64 [N].
        batch: Images per step.
        augment: Augmentations; each step applies one family, with parameters per image.
        generator: CPU generator.
    """
    order = torch.randperm(len(images), generator=generator)
    for rows in to_device(order, images.device).split(batch):
        draws = draw_family(augment, len(rows), generator, images.device)
        loss = F.cross_entropy(network(apply(images[rows], draws)), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
