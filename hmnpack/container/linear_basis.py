"""Linear basis: images as linear combinations of bases that all classes share (LinBa).

Image i is ``sum over b of coefficients[i, b] * bases[b]``, enlarged from half the side and clamped.

Shapes: N images, B bases, h and w the sides of a basis, D = C * h * w.
"""

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.base import Container
from hmnpack.container.clamp import clamp
from hmnpack.container.stored import as_stored, in_signed_range
from hmnpack.schema.container import LinearBasisSpec
from hmnpack.schema.kinds import AnyContainerConfig

_ROUNDS = 8
"""Power iterations: enough for the span of the components; the error changes little after that."""

_MORE = 8
"""Additional directions in the power iterations, which make them converge faster."""


class LinearBasis(Container):
    """Bases shared by all classes, and the coefficients of each image.

    Args:
        spec: Sizes.
        bases: float32 [B, C, h, w].
        coefficients: float32 [N, B].
    """

    by_class: ClassVar[frozenset[str]] = frozenset({"coefficients"})
    spec: LinearBasisSpec

    def __init__(self, spec: LinearBasisSpec, bases: Tensor, coefficients: Tensor) -> None:
        super().__init__(spec)
        self.bases: nn.Parameter = nn.Parameter(bases)
        self.coefficients: nn.Parameter = nn.Parameter(coefficients)

    @classmethod
    def new(
        cls, spec: LinearBasisSpec, config: AnyContainerConfig, generator: torch.Generator
    ) -> Self:
        """Return bases of uniform noise, of which every image is a random average."""
        basis, row = spec.ledger().rows
        bases = torch.rand(basis.shape, generator=generator)
        weights = torch.rand(row.shape, generator=generator)
        return cls(spec, bases, weights / weights.sum(1, keepdim=True))

    @classmethod
    def restored(cls, spec: LinearBasisSpec, tensors: dict[str, Tensor]) -> Self:
        """Return the container of a bundle."""
        return cls(spec, tensors["memory.basis"], tensors["coefficients"])

    @torch.no_grad()
    def start_from(self, targets: Tensor, generator: torch.Generator) -> None:
        """Use the principal components of the images at half the side, and their projections.

        Without centring, because there is no basis for a mean. See :meth:`Container.start_from`.
        """
        small = F.interpolate(
            targets.float() / 255, self.spec.half, mode="bilinear", antialias=True
        ).flatten(1)
        components = principal_components(small, self.spec.bases, generator)
        projections = small @ components.T
        # The same root mean square in a basis and in its coefficients: a step of Adam, which is
        # equally large for every float, then changes the images equally through both.
        sizes = projections.square().mean(0), components.square().mean(1)
        scale = (sizes[0].clamp_min(1e-12) / sizes[1].clamp_min(1e-12)) ** 0.25
        self.bases.copy_((components * scale[:, None]).view_as(self.bases))
        self.coefficients.copy_(projections / scale)

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the function from indices to images; see :meth:`Container.decoder`."""
        size, bases = (self.spec.image.height, self.spec.image.width), self.bases

        def decode(indices: Tensor) -> Tensor:
            small = self.coefficients.index_select(0, indices) @ bases.flatten(1)
            small = small.unflatten(1, bases.shape[1:])
            return clamp(F.interpolate(small, size, mode="bilinear", align_corners=False))

        return decode

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return bases and coefficients; scales of 8-bit bases are in the coefficients."""
        bases, coefficients = self.bases.detach(), self.coefficients.detach()
        if self.spec.dtype == "I8":
            bases, scales = in_signed_range(bases)
            coefficients = coefficients * scales
        return as_stored(self.spec, {"memory.basis": bases, "coefficients": coefficients})


def principal_components(points_ND: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return orthonormal directions of greatest second moment, largest first: [count, D].

    If there are fewer points or dimensions than that, the last directions are random.

    Args:
        points_ND: [N, D].
        count: Number of directions.
        generator: CPU generator for the initial directions.
    """
    dimensions = points_ND.shape[1]
    start = torch.randn(dimensions, count + _MORE, generator=generator).to(points_ND)
    start /= dimensions**0.5
    span = torch.linalg.qr(start[:, : min(len(points_ND), dimensions)]).Q
    for _ in range(_ROUNDS):
        span = torch.linalg.qr(points_ND.T @ (points_ND @ span)).Q
    _, _, rows = torch.linalg.svd(points_ND @ span, full_matrices=False)
    found = (rows @ span.T)[:count]
    return torch.cat([found, start.T[len(found) : count]])
