"""Hallucinators: affine maps, shared by all classes, of bases to images (HaBa).

Image i is hallucinator ``i % G`` of basis ``i // G``: a convolution, an elementwise scale and shift
(the style), a transposed convolution, and a clamp. All kernels are 3 x 3, without padding.

Shapes: n bases, G hallucinators, C channels of an image, c channels of a basis (1 or C).
"""

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.base import Container
from hmnpack.container.clamp import clamp
from hmnpack.container.stored import as_stored, coded_pixels, pixels_of
from hmnpack.schema.container import HallucinatorSpec
from hmnpack.schema.kinds import AnyContainerConfig

GREY = 0.5
"""Pixel from which hallucinators of the start measure, so that the border they cannot reach is
grey."""

NOISE_STD = 0.02
"""Standard deviation of the noise on the kernels of the start. Equal hallucinators would get equal
gradients and stay equal."""


class Hallucinator(Container):
    """Bases of which each decodes to one image per hallucinator.

    Args:
        spec: Sizes.
        tensors: Values of every stored tensor, by ledger name; bases in [0, 1].
    """

    by_class: ClassVar[frozenset[str]] = frozenset({"bases"})
    spec: HallucinatorSpec

    def __init__(self, spec: HallucinatorSpec, tensors: dict[str, Tensor]) -> None:
        super().__init__(spec)
        self.bases: nn.Parameter = nn.Parameter(tensors["memory.basis"])
        self.encoder_weight: nn.Parameter = nn.Parameter(tensors["hallucinator.encoder.weight"])
        self.encoder_bias: nn.Parameter = nn.Parameter(tensors["hallucinator.encoder.bias"])
        self.scale: nn.Parameter = nn.Parameter(tensors["hallucinator.scale"])
        self.shift: nn.Parameter = nn.Parameter(tensors["hallucinator.shift"])
        self.decoder_weight: nn.Parameter = nn.Parameter(tensors["hallucinator.decoder.weight"])
        self.decoder_bias: nn.Parameter = nn.Parameter(tensors["hallucinator.decoder.bias"])

    @classmethod
    def new(
        cls, spec: HallucinatorSpec, config: AnyContainerConfig, generator: torch.Generator
    ) -> Self:
        """Return bases of uniform noise and hallucinators near the identity."""
        tensors = identities(spec)
        for name in ("hallucinator.encoder.weight", "hallucinator.decoder.weight"):
            tensors[name] += NOISE_STD * torch.randn(tensors[name].shape, generator=generator)
        tensors["memory.basis"] = torch.rand(tensors["memory.basis"].shape, generator=generator)
        return cls(spec, tensors)

    @classmethod
    def restored(cls, spec: HallucinatorSpec, tensors: dict[str, Tensor]) -> Self:
        """Return the container of a bundle."""
        pixels = pixels_of(tensors["memory.basis"], spec.dtype)
        return cls(spec, tensors | {"memory.basis": pixels})

    @torch.no_grad()
    def start_from(self, targets: Tensor, generator: torch.Generator) -> None:
        """Use the first image of every basis as the basis; see :meth:`Container.start_from`."""
        images = targets[:: self.spec.hallucinators].float() / 255
        is_grey = self.spec.basis_channels == 1
        self.bases.copy_(images.mean(1, keepdim=True) if is_grey else images)

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the function from indices to images; see :meth:`Container.decoder`."""
        count, bases = self.spec.hallucinators, clamp(self.bases)

        def decode(indices: Tensor) -> Tensor:
            which, chosen = indices % count, bases.index_select(0, indices // count)
            images = len(indices)
            if not images:
                return chosen.expand(0, self.spec.image.channels, *chosen.shape[2:])
            # One group of channels per image, since each may have another hallucinator.
            encoded = F.conv2d(
                chosen.flatten(0, 1)[None],
                self.encoder_weight[which].flatten(0, 1),
                self.encoder_bias[which].flatten(),
                groups=images,
            )
            styled = encoded.view(images, -1, *encoded.shape[2:]) * self.scale[which]
            decoded = F.conv_transpose2d(
                (styled + self.shift[which]).flatten(0, 1)[None],
                self.decoder_weight[which].flatten(0, 1),
                self.decoder_bias[which].flatten(),
                groups=images,
            )
            return clamp(decoded.view(images, -1, *decoded.shape[2:]))

        return decode

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return the bases, clamped to [0, 1], and the hallucinators."""
        tensors: dict[str, Tensor] = {
            "memory.basis": coded_pixels(self.bases, self.spec.dtype),
            "hallucinator.encoder.weight": self.encoder_weight,
            "hallucinator.encoder.bias": self.encoder_bias,
            "hallucinator.scale": self.scale,
            "hallucinator.shift": self.shift,
            "hallucinator.decoder.weight": self.decoder_weight,
            "hallucinator.decoder.bias": self.decoder_bias,
        }
        return as_stored(self.spec, tensors)


def identities(spec: HallucinatorSpec) -> dict[str, Tensor]:
    """Return hallucinators that reproduce a basis, by ledger name, with bases of zeros.

    The outermost pixels of an image, which the centre of a kernel does not reach, are grey.

    Args:
        spec: Sizes.
    """
    tensors = {row.name: torch.zeros(row.shape) for row in spec.ledger().rows}
    for channel in range(spec.image.channels):
        of_basis = channel if spec.basis_channels > 1 else 0
        tensors["hallucinator.encoder.weight"][:, channel, of_basis, 1, 1] = 1
        tensors["hallucinator.decoder.weight"][:, channel, channel, 1, 1] = 1
    tensors["hallucinator.scale"] += 1
    tensors["hallucinator.shift"] -= GREY
    tensors["hallucinator.decoder.bias"] += GREY
    return tensors
