"""Multi-formation: canvases of the size of an image, whose tiles are enlarged to images (IDC).

Image i is tile ``i % f**2`` of canvas ``i // f**2``; the tiles of a canvas are numbered row by row.

Shapes: N images, n canvases, f tiles per side, h and w the sides of a tile.
"""

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.base import Container
from hmnpack.container.clamp import clamp
from hmnpack.container.stored import as_stored, coded_pixels, pixels_of
from hmnpack.schema.container import MultiFormationSpec
from hmnpack.schema.kinds import AnyContainerConfig

PADDING = 0.5
"""Pixels of a tile that are outside the canvas."""


class MultiFormation(Container):
    """Canvases of which each decodes to f x f images.

    Args:
        spec: Sizes.
        canvases: float32 [n, C, H, W], in [0, 1].
    """

    by_class: ClassVar[frozenset[str]] = frozenset({"canvases"})
    spec: MultiFormationSpec

    def __init__(self, spec: MultiFormationSpec, canvases: Tensor) -> None:
        super().__init__(spec)
        self.canvases: nn.Parameter = nn.Parameter(canvases)

    @classmethod
    def new(
        cls, spec: MultiFormationSpec, config: AnyContainerConfig, generator: torch.Generator
    ) -> Self:
        """Return canvases of uniform noise."""
        (row,) = spec.ledger().rows
        return cls(spec, torch.rand(row.shape, generator=generator))

    @classmethod
    def restored(cls, spec: MultiFormationSpec, tensors: dict[str, Tensor]) -> Self:
        """Return the container of a bundle."""
        return cls(spec, pixels_of(tensors["memory.canvas"], spec.dtype))

    @torch.no_grad()
    def start_from(self, targets: Tensor, generator: torch.Generator) -> None:
        """Fill every tile with a real image of its size; see :meth:`Container.start_from`."""
        f, image = self.spec.factor, self.spec.image
        small = F.interpolate(
            targets.float() / 255, self.spec.tile, mode="bilinear", antialias=True
        )
        grid = small.unflatten(0, (-1, f, f)).permute(0, 3, 1, 4, 2, 5)  # [n, C, f, h, f, w]
        whole = grid.flatten(4, 5).flatten(2, 3)
        self.canvases.copy_(whole[..., : image.height, : image.width])

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the lookup of tiles, which are cut once; see :meth:`Container.decoder`."""
        tiles, size = self._tiles(), (self.spec.image.height, self.spec.image.width)

        def decode(indices: Tensor) -> Tensor:
            chosen = tiles.index_select(0, indices)
            if chosen.shape[2:] == size:
                return chosen
            return F.interpolate(chosen, size, mode="bilinear", align_corners=False)

        return decode

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return the canvases, clamped to [0, 1]."""
        values = coded_pixels(self.canvases, self.spec.dtype)
        return as_stored(self.spec, {"memory.canvas": values})

    def _tiles(self) -> Tensor:
        """Return the tiles of all canvases: [N, C, h, w]."""
        f, (h, w), image = self.spec.factor, self.spec.tile, self.spec.image
        outside = (0, f * w - image.width, 0, f * h - image.height)
        padded = F.pad(clamp(self.canvases), outside, value=PADDING)
        grid = padded.unflatten(3, (f, w)).unflatten(2, (f, h))  # [n, C, f, h, f, w]
        tiles: Tensor = grid.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return tiles
