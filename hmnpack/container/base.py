"""What every container does: hold learnable numbers, and decode any of its images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.container.chunks import images_at_a_time, put_together
from hmnpack.container.rows import class_of
from hmnpack.container.stored import values_of
from hmnpack.registry import CONTAINERS
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import Activation, ContainerSpec

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
    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return the function from indices to images, with what images share computed once.

        The indices are int64 [n] on the container's device, the images float32 [n, C, H, W].
        """

    @property
    def decodes_one_by_one(self) -> bool:
        """Whether an image is the same whichever others are decoded with it."""
        return True

    def expand(self, indices: Tensor | None = None) -> Tensor:
        """Decode images.

        Args:
            indices: int64 [n], in any order, with repeats if wanted; None for all N.

        Returns:
            float32 [n, C, H, W]; gradients flow to the parameters where they are enabled. An image
            does not depend on which others are asked for.
        """
        if indices is None:
            indices = torch.arange(self.spec.images)
        parameters = list(self.parameters())
        needs_graph = torch.is_grad_enabled() and any(each.requires_grad for each in parameters)
        if needs_graph or not self.decodes_one_by_one:
            device = parameters[0].device
            with torch.autocast(device.type, enabled=False):  # a caller's would round the pixels
                return self.decoder()(indices.to(device))
        return put_together(self.parts(indices), len(indices))

    def parts(self, indices: Tensor) -> Iterator[Tensor]:
        """Decode images without a gradient, as many at a time as memory allows.

        Args:
            indices: int64 [n], one or more.

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
        """Return what a bundle stores, by the names of the ledger: of its types, on the CPU."""

    def labels(self) -> Tensor:
        """Return the class of every image: int64 [N], class by class."""
        device = next(self.parameters()).device
        return class_of(self.spec, torch.arange(self.spec.images, device=device))


def new_container(
    spec: ContainerSpec, config: ContainerConfig, generator: torch.Generator
) -> Container:
    """Return a randomly initialised container to be learned."""
    kind: type[Container] = CONTAINERS[spec.kind]
    return kind.new(spec, config, generator)


def container_of(spec: ContainerSpec, tensors: dict[str, Tensor]) -> Container:
    """Return the container of a bundle, ready to decode; its parameters need no gradient."""
    exact = {name: values_of(tensor) for name, tensor in tensors.items()}
    kind: type[Container] = CONTAINERS[spec.kind]
    return kind.restored(spec, exact).requires_grad_(False)
