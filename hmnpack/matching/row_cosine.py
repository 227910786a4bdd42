"""The distance between gradients of DC (Zhao et al., ICLR 2021, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6
"""Added to the product of the norms; a row without gradient has distance 1."""


def row_cosine(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the sum over the layers' output rows of one minus the cosine.

    A row holds the gradient of the weights of one output channel (a convolution's
    [out, in, k, k] has ``out`` rows) or of one output (linear). One-dimensional gradients, of
    biases and of scale and shift of norms, do not contribute.

    Args:
        real: Gradient of each parameter on real images.
        synthetic: Gradients on synthetic images, of the same shapes; differentiable.

    Returns:
        A scalar, 0 for gradients of the same directions.
    """
    total: Tensor | None = None
    for theirs, ours in zip(real, synthetic, strict=True):
        if ours.dim() > 1:
            part = _of_layer(theirs.flatten(1), ours.flatten(1))
            total = part if total is None else total + part
    assert total is not None  # noqa: S101 - a network has a layer
    return total


def _of_layer(theirs: Tensor, ours: Tensor) -> Tensor:
    products = (theirs * ours).sum(1)
    norms = torch.linalg.vector_norm(theirs, dim=1) * torch.linalg.vector_norm(ours, dim=1)
    distances: Tensor = 1 - products / (norms + EPSILON)
    return distances.sum()
