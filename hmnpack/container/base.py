"""What every container does: hold learnable numbers, and decode any of its images."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.rows import class_of
from hmnpack.container.stored import values_of
from hmnpack.registry import CONTAINERS
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import Activation, ContainerSpec

DECODE_CHUNK = 128
"""Images decoded at a time on a CPU where no gradient is wanted: layers stay in its cache."""

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
}


class Container(nn.Module, ABC):
    """A data container f_theta (paper section 1): its parameters count against the budget.

    Args:
        spec: Sizes and choices; what is stored.
    """

    by_class: ClassVar[frozenset[str]]
    """Names of the parameters whose rows belong to classes, in order: a row per class, or the rows
    of its images."""

    def __init__(self, spec: Any) -> None:  # noqa: ANN401 - each container narrows it
        super().__init__()
        self.spec = spec

    @classmethod
    @abstractmethod
    def new(cls, spec: Any, config: ContainerConfig, generator: torch.Generator) -> Self:  # noqa: ANN401
        """Return a new container with random numbers."""

    @classmethod
    @abstractmethod
    def restored(cls, spec: Any, tensors: dict[str, Tensor]) -> Self:  # noqa: ANN401
        """Return the container that a bundle's tensors are."""

    @abstractmethod
    def expand(self, indices: Tensor | None = None) -> Tensor:
        """Decode images.

        Args:
            indices: int64 [n], in any order, with repeats if wanted; None for all N.

        Returns:
            float32 [n, C, H, W]; gradients flow to the parameters where they are enabled. An image
            does not depend on which others are asked for.
        """

    @abstractmethod
    def stored_tensors(self) -> dict[str, Tensor]:
        """Return what a bundle stores, by the names of the ledger: of its types, on the CPU."""

    def labels(self) -> Tensor:
        """Return the class of every image: int64 [N], class by class."""
        device = next(self.parameters()).device
        return class_of(self.spec, torch.arange(self.spec.images, device=device))


def new_container(
    spec: ContainerSpec, config: ContainerConfig, generator: torch.Generator
) -> Container:
    """Return a randomly initialised container to be learned."""
    return CONTAINERS[spec.kind].new(spec, config, generator)


def container_of(spec: ContainerSpec, tensors: dict[str, Tensor]) -> Container:
    """Return the container of a bundle, ready to decode; its parameters need no gradient."""
    exact = {name: values_of(tensor) for name, tensor in tensors.items()}
    return CONTAINERS[spec.kind].restored(spec, exact).requires_grad_(False)


def decoded_in_chunks(decode: Callable[[Tensor], Tensor], indices: Tensor) -> Tensor:
    """Decode into one tensor, on a CPU chunk by chunk; for use where no gradient is wanted."""
    if indices.device.type != "cpu" or len(indices) <= DECODE_CHUNK:
        return decode(indices)
    first, *later = indices.split(DECODE_CHUNK)
    images = decode(first)
    out = images.new_empty(len(indices), *images.shape[1:])
    out[:DECODE_CHUNK] = images
    for start, part in enumerate(later, 1):
        out[start * DECODE_CHUNK :][: len(part)] = decode(part)
    return out
