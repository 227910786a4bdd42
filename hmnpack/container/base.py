"""The base class of containers: learnable parameters that decode to images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.chunks import concatenate_parts, images_at_a_time
from hmnpack.container.rows import class_of
from hmnpack.container.stored import values_of
from hmnpack.registry import CONTAINERS
from hmnpack.schema.container import Activation, ContainerSpec
from hmnpack.schema.kinds import AnyContainerConfig

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
}


class Container(nn.Module, ABC):
    """A data container f_theta (paper section 1); its parameters count against the budget.

    Args:
        spec: Sizes and options, as stored in the bundle.
    """

    by_class: ClassVar[frozenset[str]]
    """Names of the parameters whose rows are ordered by class: one row per class, or one row per
    image."""

    def __init__(self, spec: Any) -> None:  # noqa: ANN401 - subclasses narrow the type
        super().__init__()
        self.spec = spec

    @classmethod
    @abstractmethod
    def new(cls, spec: Any, config: Any, generator: torch.Generator) -> Self:  # noqa: ANN401
        """Return a randomly initialised container."""

    @classmethod
    @abstractmethod
    def restored(cls, spec: Any, tensors: dict[str, Tensor]) -> Self:  # noqa: ANN401
        """Return the container with the tensors of a bundle."""

    def start_from(self, targets: Tensor, generator: torch.Generator) -> None:
        """Fit the container to real images in closed form.

        Containers that are fitted by optimiser steps (the stage "warm-up") do not implement it.

        Args:
            targets: One real image for each synthetic one, uint8 [N, C, H, W], on the device.
            generator: CPU generator.
        """
        raise NotImplementedError(f"{self.spec.kind} has no closed form")

    @abstractmethod
    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the function from indices to images; computations that images share are done once.

        The indices are int64 [n] on the container's device, the images float32 [n, C, H, W].
        """

    @property
    def decodes_one_by_one(self) -> bool:
        """Whether an image is independent of the others decoded in the same call."""
        return True

    def expand(self, indices: Tensor | None = None) -> Tensor:
        """Decode images.

        Args:
            indices: int64 [n], in any order, repeats allowed; None for all N images.

        Returns:
            float32 [n, C, H, W], differentiable with respect to the parameters if gradients are
            enabled. If :attr:`decodes_one_by_one`, an image is independent of the other indices.
        """
        if indices is None:
            indices = torch.arange(self.spec.images)
        parameters = list(self.parameters())
        needs_graph = torch.is_grad_enabled() and any(each.requires_grad for each in parameters)
        if needs_graph or not self.decodes_one_by_one:
            device = parameters[0].device
            with torch.autocast(device.type, enabled=False):  # autocast would round the pixels
                return self.decoder()(indices.to(device))
        return concatenate_parts(self.parts(indices), len(indices))

    def parts(self, indices: Tensor) -> Iterator[Tensor]:
        """Decode images without gradients, in chunks that bound the memory.

        Args:
            indices: int64 [n], n >= 1.

        Yields:
            float32 [m, C, H, W], in the order of the indices.
        """
        device = next(self.parameters()).device
        exact = torch.autocast(device.type, enabled=False)
        with torch.no_grad(), exact:
            decode = self.decoder()
        for some in indices.to(device).split(images_at_a_time(self.spec, device)):
            with torch.no_grad(), exact:
                images = decode(some)
            yield images

    @abstractmethod
    def stored_tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store, by ledger name: on the CPU, in the dtypes of the ledger."""

    def labels(self) -> Tensor:
        """Return the class of every image: int64 [N], in ascending order."""
        device = next(self.parameters()).device
        return class_of(self.spec, torch.arange(self.spec.images, device=device))


def new_container(
    spec: ContainerSpec, config: AnyContainerConfig, generator: torch.Generator
) -> Container:
    """Return a randomly initialised container for training."""
    kind: type[Container] = CONTAINERS[spec.kind]
    return kind.new(spec, config, generator)


def container_of(spec: ContainerSpec, tensors: dict[str, Tensor]) -> Container:
    """Return the container of a bundle, ready to decode; its parameters require no gradient."""
    exact = {name: values_of(tensor) for name, tensor in tensors.items()}
    kind: type[Container] = CONTAINERS[spec.kind]
    return kind.restored(spec, exact).requires_grad_(False)
