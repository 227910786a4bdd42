"""Training batches of stacked networks, each with its own images, augmentations and CutMix boxes.

Random numbers are drawn on the CPU, network by network, in the order of a separate training. The
images of all networks are then augmented together on the device.

Shape legend: B networks, N images of each, n images of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnpack.augment import Cut, apply, draw_cut, draw_numbers, draws_of
from hmnpack.runtime.devices import to_device
from hmnpack.schema.config import Augmentation, TrainConfig
from hmnpack.sources.lazy import Images, in_memory
from hmnpack.training.loop import is_cut

LabelledSet = tuple[Images, Tensor]
"""Images of one network, [N, C, H, W], uint8 or float in [0, 1], and their labels, int64 [N]."""

Batches = tuple[Tensor, Tensor]
"""A batch of every network: images [B, n, C, H, W] and labels, int64 [B, n]."""


class StackedData:
    """The images of several networks on one device; tensors shared by networks are stored once.

    Args:
        sets: Images and labels of every network, all of the same N, shape and dtype.
        device: Device of the networks.
    """

    def __init__(self, sets: Sequence[LabelledSet], device: torch.device) -> None:
        different = {(id(images), id(labels)): (images, labels) for images, labels in sets}
        every = [(images.to(device), labels.to(device)) for images, labels in different.values()]
        self._images: Images = (
            every[0][0] if len(every) == 1 else torch.cat([in_memory(each[0]) for each in every])
        )
        self._labels = torch.cat([labels for _, labels in every])
        places = {key: index * len(every[0][1]) for index, key in enumerate(different)}
        first = [places[id(images), id(labels)] for images, labels in sets]
        self._first = torch.tensor(first, device=device)[:, None]

    def take(self, rows: Tensor) -> Batches:
        """Return what is at each network's rows, int64 [B, n]."""
        places = rows + self._first
        return self._images[places], self._labels[places]


@dataclass(frozen=True)
class Mix:
    """CutMix parameters of one batch per network.

    Attributes:
        partner: int64 [B, n], index of the image that each image's box is taken from.
        kept: [B], fraction of the area outside the box; 1 for networks without CutMix.
    """

    partner: Tensor
    kept: Tensor


def augmented(
    images: Tensor, config: TrainConfig, generators: Sequence[torch.Generator]
) -> tuple[Tensor, Mix | None]:
    """Augment one batch per network; return it with its CutMix parameters, None without CutMix.

    Args:
        images: Normalised [B, n, C, H, W]; may be modified in place.
        config: Augmentations and CutMix.
        generators: Random generator of every network, on the CPU.
    """
    count, height, width = images.shape[1], *images.shape[3:]
    drawn, cuts = [], []
    for generator in generators:
        drawn.append(draw_numbers(config.augment, count, generator, one_spatial=True))
        cut = is_cut(config, generator)
        cuts.append(draw_cut(count, height, width, generator) if cut else None)
    images = _applied(images, torch.stack([numbers for numbers, _ in drawn]), [k for _, k in drawn])
    return _cut(images, cuts) if any(cuts) else (images, None)


def _applied(images: Tensor, numbers: Tensor, kinds: Sequence[frozenset[Augmentation]]) -> Tensor:
    """Apply the augmentations common to all networks, then the others to the networks with them.

    The others are spatial augmentations, which come after the common ones in every network.
    """
    numbers = to_device(numbers, images.device)
    shared = frozenset.intersection(*kinds)
    shape = images.shape
    images = apply(images.flatten(0, 1), draws_of(numbers.flatten(0, 1), shared)).view(shape)
    for kind in sorted(frozenset.union(*kinds) - shared):
        selected = [index for index, own in enumerate(kinds) if kind in own]
        which = to_device(torch.tensor(selected), images.device)
        draws = draws_of(numbers[which].flatten(0, 1), [kind])
        some = apply(images[which].flatten(0, 1), draws)
        images = images.index_copy(0, which, some.view(len(selected), *shape[1:]))
    return images


def _cut(images: Tensor, cuts: Sequence[Cut | None]) -> tuple[Tensor, Mix]:
    networks, count, _, height, width = images.shape
    inside = torch.zeros(networks, 1, 1, height, width, dtype=torch.bool)
    partner = torch.arange(count).repeat(networks, 1)
    kept = torch.ones(networks, dtype=images.dtype)
    for index, cut in enumerate(cuts):
        if cut is not None:
            inside[index, :, :, cut.rows, cut.columns] = True
            partner[index], kept[index] = cut.partner, cut.kept
    places = partner + count * torch.arange(networks)[:, None]
    others = images.flatten(0, 1)[to_device(places, images.device)]
    mixed = torch.where(to_device(inside, images.device), others, images)
    return mixed, Mix(to_device(partner, images.device), to_device(kept, images.device))


def losses_of(logits: Tensor, labels: Tensor, mix: Mix | None) -> Tensor:
    """Return the mean cross-entropy of every network, [B].

    Args:
        logits: [B, n, K].
        labels: int64 [B, n].
        mix: CutMix parameters of the batch, if any.
    """
    own = _cross_entropies(logits, labels)
    if mix is None:
        return own
    kept = mix.kept.to(own.dtype)
    other = _cross_entropies(logits, labels.gather(1, mix.partner))
    return torch.where(kept < 1, kept * own + (1 - kept) * other, own)


def _cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return each.view(labels.shape).mean(1)
