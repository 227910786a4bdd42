"""Pixels stored as floats: the baseline for every other container."""

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from hmnpack.container.base import Container
from hmnpack.container.clamp import clamp
from hmnpack.container.stored import as_stored
from hmnpack.schema.container import ImagesSpec
from hmnpack.schema.kinds import AnyContainerConfig


class Images(Container):
    """N images, stored as pixels.

    Args:
        spec: Sizes.
        pixels: float32 [N, C, H, W], in [0, 1].
    """

    by_class: ClassVar[frozenset[str]] = frozenset({"pixels"})
    spec: ImagesSpec

    def __init__(self, spec: ImagesSpec, pixels: Tensor) -> None:
        super().__init__(spec)
        self.pixels: nn.Parameter = nn.Parameter(pixels)

    @classmethod
    def new(cls, spec: ImagesSpec, config: AnyContainerConfig, generator: torch.Generator) -> Self:
        """Return images of uniform noise."""
        shape = (spec.images, spec.image.channels, spec.image.height, spec.image.width)
        return cls(spec, torch.rand(shape, generator=generator))

    @classmethod
    def restored(cls, spec: ImagesSpec, tensors: dict[str, Tensor]) -> Self:
        """Return the images of a bundle."""
        return cls(spec, tensors["pixels"])

    @torch.no_grad()
    def start_from(self, targets: Tensor, generator: torch.Generator) -> None:
        """Use the real images as they are; see :meth:`Container.start_from`."""
        self.pixels.copy_(targets.float() / 255)

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the lookup of stored pixels; see :meth:`Container.decoder`."""

        def decode(indices: Tensor) -> Tensor:
            return clamp(self.pixels.index_select(0, indices))

        return decode

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return the pixels, clamped to [0, 1]."""
        return as_stored(self.spec, {"pixels": self.pixels.clamp(0, 1)})
