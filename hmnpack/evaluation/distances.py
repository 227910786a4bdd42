"""Distances from synthetic images to the real ones, beside those between real images.

Shape legend: N images, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hmnpack.evaluation.nearest import nearest
from hmnpack.networks import FeatureNetwork
from hmnpack.schema.audit import Nearest, Quantiles, Space
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import outputs

_PART = 5000
"""Real images whose features are in memory at once."""


def nearest_by_pixels(
    queries: Tensor, references: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the nearest image of each, and the root mean square difference of a pixel value.

    Args:
        queries: uint8 [N, C, H, W].
        references: uint8 [M, C, H, W].
        device: Device to compute on.

    Returns:
        int64 [N], and float64 [N] in units of the 256 levels.
    """
    flat = (images.flatten(1).to(device) for images in (queries, references))
    indices, distances = nearest(*flat)
    return indices, distances / queries[0].numel() ** 0.5


def nearest_by_features(
    network: nn.Module,
    queries: Sequence[Tensor],
    references: Tensor,
    *,
    normalisation: Normalisation,
) -> tuple[Space, list[Tensor]]:
    """Return the distances to the nearest reference by the last features of a network.

    Args:
        network: A classifier; its logits take the place of features if it has none to show.
        queries: Groups of images, each uint8 [N, C, H, W].
        references: uint8 [M, C, H, W].
        normalisation: Normalisation that the network expects.

    Returns:
        The space, and float64 [N] for each group.
    """
    device = next(network.parameters()).device

    def last(images: Tensor) -> Tensor:
        if isinstance(network, FeatureNetwork):
            return network.features(images)[-1].flatten(1)
        logits: Tensor = network(images)
        return logits

    def of(images: Tensor) -> Tensor:
        return outputs(network, images, last, normalisation=normalisation).to(device)

    groups = [of(images) for images in queries]
    best = [torch.full((len(group),), torch.inf, dtype=torch.float64) for group in groups]
    for part in references.split(_PART):
        real = of(part)
        found = [nearest(group, real)[1] for group in groups]
        best = [torch.minimum(*pair) for pair in zip(best, found, strict=True)]
    return "features" if isinstance(network, FeatureNetwork) else "logits", best


def compared(space: Space, synthetic: Tensor, real: Tensor) -> Nearest:
    """Compare the distances of synthetic images with those of real images, float64 [N] each."""
    usual = _quantiles(real)
    return Nearest(
        space=space,
        synthetic=_quantiles(synthetic),
        real=usual,
        below_p1=100 * float((synthetic < usual.p1).double().mean()),
        copies=int((synthetic == 0).sum()),
    )


def _quantiles(distances: Tensor) -> Quantiles:
    p1, p5, median, p95 = (float(distances.quantile(part)) for part in (0.01, 0.05, 0.5, 0.95))
    return Quantiles(
        images=len(distances), least=float(distances.min()), p1=p1, p5=p5, median=median, p95=p95
    )
