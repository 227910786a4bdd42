"""Testing several networks at once.

Shape legend: B networks, N images, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision
from hmnpack.schema.manifest import Normalisation
from hmnpack.training.loop import accuracy, pixels_of
from hmnpack.training.stacked import StackedNetworks, can_be_wide

_BATCH = 128
"""Images of each network at a time: without gradients they take no more than a training step."""


@torch.no_grad()
def accuracies(
    networks: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    normalisation: Normalisation,
    precision: Precision = "auto",
) -> list[float]:
    """Return what :func:`hmnpack.training.accuracy` returns of every network, in percent.

    Args:
        networks: Of one architecture, on the images' device; used in evaluation mode, and left as
            they were. Those that cannot go side by side are tested one after another.
        images: uint8, or float32 in [0, 1]; [N, C, H, W].
        labels: int64 [N].
        normalisation: Of the images, as the networks expect them.
        precision: Arithmetic of the forward pass.
    """
    channels, height, width = images.shape[1:]
    if len(networks) == 1 or not can_be_wide(networks[0], (channels, height, width)):
        return [
            accuracy(one, images, labels, normalisation=normalisation, precision=precision)
            for one in networks
        ]
    wide = StackedNetworks(networks).eval()
    right = torch.zeros(len(networks), dtype=torch.int64, device=images.device)
    for start in range(0, len(images), _BATCH):
        batch, target = images[start : start + _BATCH], labels[start : start + _BATCH]
        normal = normalise(pixels_of(batch), normalisation)
        with autocast(images.device, precision):
            logits = wide(normal.expand(len(networks), *normal.shape))
        right += (logits.argmax(2) == target).sum(1)
    return [100 * count / len(images) for count in right.tolist()]
