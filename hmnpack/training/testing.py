"""Batched testing of several networks.

Shape legend: B networks, N images, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import Images
from hmnpack.training.loop import accuracy, pixels_of
from hmnpack.training.stacked import StackedNetworks, can_be_stacked

_BATCH = 128
"""Batch size per network: without gradients it takes no more memory than a training step."""


@torch.no_grad()
def accuracies(
    networks: Sequence[nn.Module],
    images: Images,
    labels: Tensor,
    *,
    normalisation: Normalisation,
    precision: Precision = "auto",
) -> list[float]:
    """Return the top-1 accuracy of every network in percent; see :func:`hmnpack.training.accuracy`.

    Args:
        networks: Networks of one architecture, on the images' device; used in evaluation mode,
            their mode is restored. Those that cannot be stacked are tested sequentially.
        images: uint8, or float32 in [0, 1]; [N, C, H, W].
        labels: int64 [N].
        normalisation: Normalisation that the networks expect.
        precision: Precision of the forward pass.
    """
    channels, height, width = images.shape[1:]
    if len(networks) == 1 or not can_be_stacked(networks[0], (channels, height, width)):
        return [
            accuracy(one, images, labels, normalisation=normalisation, precision=precision)
            for one in networks
        ]
    stacked = StackedNetworks(networks).eval()
    correct = torch.zeros(len(networks), dtype=torch.int64, device=images.device)
    for batch, target in zip(images.split(_BATCH), labels.split(_BATCH), strict=True):
        normal = normalise(pixels_of(batch), normalisation)
        with autocast(images.device, precision):
            logits = stacked(normal.expand(len(networks), *normal.shape))
        correct += (logits.argmax(2) == target).sum(1)
    return [100 * count / len(images) for count in correct.tolist()]
