"""Batched testing of several networks, and outputs of one network image by image.

Shape legend: B networks, N images, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnpack.augment import normalise
from hmnpack.runtime.devices import autocast
from hmnpack.schema.config import Precision
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.lazy import Images
from hmnpack.training.loop import TEST_BATCH, accuracy, images_at_a_time, pixels_of
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


@torch.no_grad()
def outputs(
    network: nn.Module,
    images: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    normalisation: Normalisation,
) -> Tensor:
    """Return what a function of normalised images gives for each image, in float32 on the CPU.

    Args:
        network: Network that the function calls; in evaluation mode meanwhile.
        images: uint8, or float32 in [0, 1]; [N, C, H, W], on any device.
        function: Maps normalised images [n, C, H, W], on the network's device, to [n, ...].
        normalisation: Normalisation that the network expects.
    """
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    size = images_at_a_time(TEST_BATCH, images.shape[2], images.shape[3])
    found = [
        function(normalise(pixels_of(batch.to(device)), normalisation)).float().cpu()
        for batch in images.split(size)
    ]
    network.train(was_training)
    return torch.cat(found)


def losses(
    network: nn.Module, images: Tensor, labels: Tensor, *, normalisation: Normalisation
) -> Tensor:
    """Return the cross-entropy of every image, float32 [N] on the CPU; see :func:`outputs`.

    Args:
        network: Classifier.
        images: uint8, or float32 in [0, 1]; [N, C, H, W], on any device.
        labels: int64 [N].
        normalisation: Normalisation that the network expects.
    """
    logits = outputs(network, images, network, normalisation=normalisation)
    return F.cross_entropy(logits, labels.cpu(), reduction="none")
