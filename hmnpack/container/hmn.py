"""The Hierarchical Memory Network (paper section 3.1, appendix C.1).

Image i of class c is ``D([f_c(m_D), m_C[c], m_I[i]])`` (equation 1): the dataset memory passed
through the extractor of the class, the class memory and the instance memory are concatenated and
decoded.

The first layer of D is linear, so its output for the channels that all images of a class share is
computed once per class and added to the output for the instance channels.

Shapes: K classes, N images, M grid side, Cd / Cc / Ci channels of the three memories.
"""

import math
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.base import ACTIVATIONS, Container
from hmnpack.container.chunks import images_at_a_time
from hmnpack.container.norm import Norm
from hmnpack.container.rows import class_of
from hmnpack.container.stored import as_stored, in_unit_range
from hmnpack.container.upsample import Layer, double
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.ledger import TensorRow

MEMORY_STD = 0.5
"""Initial standard deviation of the memories; a step hardly changes much larger values."""


Layers = tuple[Layer, Layer, list[Layer]]
"""A decoder: its first layer for shared and for instance channels, and the other layers."""


class HMN(Container):
    """Three tiers of memories, one extractor per class and one decoder.

    Args:
        spec: Sizes and options.
        tensors: Values of every stored tensor, by ledger name.
        norm: ``"batch"`` adds a normalisation after each decoder layer but the last.
            :meth:`freeze` ends its dependence on the batch; stored weights have it folded in.
    """

    by_class: ClassVar[frozenset[str]] = frozenset(
        {"classwise", "instance", "extractor_weight", "extractor_bias"}
    )
    spec: HmnSpec

    def __init__(self, spec: HmnSpec, tensors: dict[str, Tensor], norm: str = "none") -> None:
        super().__init__(spec)
        self.dataset: nn.Parameter = nn.Parameter(tensors["memory.dataset"])
        self.classwise: nn.Parameter = nn.Parameter(tensors["memory.class"])
        self.instance: nn.Parameter = nn.Parameter(tensors["memory.instance"])
        if spec.extractor_channels is not None:
            self.extractor_weight: nn.Parameter = nn.Parameter(tensors["extractor.weight"])
            self.extractor_bias: nn.Parameter = nn.Parameter(tensors["extractor.bias"])
        layers = range(len(spec.decoder_channels) + 1)
        self.weights: nn.ParameterList = nn.ParameterList(
            [tensors[f"decoder.{i}.weight"] for i in layers]
        )
        self.biases: nn.ParameterList = nn.ParameterList(
            [tensors[f"decoder.{i}.bias"] for i in layers]
        )
        widths = spec.decoder_channels if norm == "batch" else ()
        self.norms: nn.ModuleList = nn.ModuleList([Norm(width) for width in widths])

    @classmethod
    def new(cls, spec: HmnSpec, config: ContainerConfig, generator: torch.Generator) -> Self:
        """Return a randomly initialised container."""
        rows = spec.ledger().rows
        tensors = {row.name: _random_tensor(row, generator) for row in rows}
        return cls(spec, tensors, config.norm)

    @classmethod
    def restored(cls, spec: HmnSpec, tensors: dict[str, Tensor]) -> Self:
        """Return the container of a bundle, which has its norms folded into the layers."""
        return cls(spec, tensors)

    @property
    def decodes_one_by_one(self) -> bool:
        """Whether the norms are frozen; until then they use the statistics of the batch."""
        return all(norm.frozen for norm in self._norms())

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the decoder in its current state; see :meth:`Container.decoder`."""
        return self._folded_decoder() if self.decodes_one_by_one else self._unfolded

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the ledger; norms and 8-bit scales are folded into the weights."""
        tensors: dict[str, Tensor] = {
            "memory.dataset": self.dataset,
            "memory.class": self.classwise,
            "memory.instance": self.instance,
        }
        if self.spec.extractor_channels is not None:
            tensors["extractor.weight"] = self.extractor_weight
            tensors["extractor.bias"] = self.extractor_bias
        for index, pair in enumerate(self._folded()):
            tensors[f"decoder.{index}.weight"], tensors[f"decoder.{index}.bias"] = pair
        if self.spec.dtype == "I8":
            tensors = in_unit_range(tensors)
        return as_stored(self.spec, tensors)

    @torch.no_grad()
    def freeze(self) -> None:
        """Fix each norm's statistics to those of all images, layer by layer."""
        shared, own, later = self._layers(self._pairs())
        first, device = self._first(shared, own), self.dataset.device
        every = torch.arange(self.spec.images, device=device)
        parts = every.split(images_at_a_time(self.spec, device))
        for depth, norm in enumerate(self._norms()):
            norm.freeze(self._norm_input(first(part), later[:depth]) for part in parts)

    def _norms(self) -> list[Norm]:
        return [norm for norm in self.norms if isinstance(norm, Norm)]

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.weights, self.biases, strict=True))

    def _folded(self) -> list[tuple[Tensor, Tensor]]:
        pairs = self._pairs()
        for layer, norm in enumerate(self._norms()):
            pairs[layer] = norm.fold(*pairs[layer])
        return pairs

    def _shared(self) -> Tensor:
        """Return the decoder input that images of a class share: [K, shared channels, M, M]."""
        classes = self.spec.classes
        if self.spec.extractor_channels is None:
            features = self.dataset.expand(classes, *self.dataset.shape)
        else:
            features = torch.einsum("koc,cij->koij", self.extractor_weight, self.dataset)
            features = features + self.extractor_bias[:, :, None, None]
        return torch.cat([features, self._class_memory()], 1)

    def _class_memory(self) -> Tensor:
        """Return the memories of all classes: [K, Cc, M, M]."""
        return self.classwise

    def _instance_memory(self, indices: Tensor) -> Tensor:
        """Return the memories of some images: [n, Ci, M, M]."""
        return self.instance.index_select(0, indices)

    def _layers(self, pairs: list[tuple[Tensor, Tensor]]) -> Layers:
        """Return the decoder with the given weights and biases."""
        (weight, bias), *later = pairs
        channels = self.spec.shared_channels
        return (weight[:channels], bias), (weight[channels:], None), list(later)

    def _first(self, shared: Layer, own: Layer) -> Callable[[Tensor], Tensor]:
        """Return the first layer as a function of indices, with the shared part precomputed."""
        common = double(self._shared(), shared)

        def first(indices: Tensor) -> Tensor:
            maps = double(self._instance_memory(indices), own)
            return maps + common.index_select(0, class_of(self.spec, indices))

        return first

    def _unfolded(self, indices: Tensor) -> Tensor:
        """Decode with unfolded norms, by the definition."""
        shared, own, later = self._layers(self._pairs())
        *_, norm = self._norms()
        maps = self._norm_input(self._first(shared, own)(indices), later[:-1])
        return self._finished(norm(maps), later[-1])

    def _norm_input(self, maps: Tensor, before: list[Layer]) -> Tensor:
        """Return the input of a norm, with all norms before it unfolded.

        Args:
            maps: Output of the first layer.
            before: The layers between the first one and the norm.
        """
        activation = ACTIVATIONS[self.spec.activation]
        for norm, layer in zip(self._norms(), before, strict=False):
            maps = double(activation(norm(maps)), layer)
        return maps

    def _folded_decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the function from indices to images, with norms folded and shared parts cached."""
        activation = ACTIVATIONS[self.spec.activation]
        shared, own, later = self._layers(self._folded())
        first = self._first(shared, own)

        def decode(indices: Tensor) -> Tensor:
            maps = first(indices)
            for layer in later[:-1]:
                maps = double(activation(maps), layer)
            return self._finished(maps, later[-1] if later else None)

        return decode

    def _finished(self, maps: Tensor, last: Layer | None) -> Tensor:
        """Return images from the last layer's input, or from its output if ``last`` is None."""
        if last is not None:
            maps = double(ACTIVATIONS[self.spec.activation](maps), last)
        size = (self.spec.image.height, self.spec.image.width)
        if maps.shape[2:] != size:
            maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
        return torch.sigmoid(maps.contiguous())


def _random_tensor(row: TensorRow, generator: torch.Generator) -> Tensor:
    """Return the initial value: MEMORY_STD for memories, 0 for biases, He et al. for layers."""
    if row.name.startswith("memory."):
        std = MEMORY_STD
    elif row.name.endswith("bias"):
        std = 0.0
    elif row.name == "extractor.weight":
        std = 1 / math.sqrt(row.shape[2])
    else:  # 2 x 2 of the 16 kernel positions contribute to an output pixel
        std = math.sqrt(2 / (4 * row.shape[0]))
    return torch.randn(row.shape, generator=generator) * std
