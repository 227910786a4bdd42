"""An optimiser of a container whose classes are sharded across ranks.

Class-specific rows are optimised as views of their parameter: each rank updates, and stores the
optimiser's averages for, its own classes only. The saved state does not depend on the sharding, so
a run can resume with a different number of ranks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.runtime.ranks import World

State = dict[str, dict[str, Tensor]]
"""Parameter name -> the optimiser's values: scalars, and tensors of the parameter's shape."""


class ContainerOptimiser:
    """Optimises a container's parameters in place.

    Args:
        container: Already on its device; its parameter objects are not replaced.
        world: The ranks that share the classes; gradients of shared parameters are summed over
            them.
        make: Maps the tensors to optimise to an optimiser.
    """

    def __init__(
        self,
        container: Container,
        world: World,
        make: Callable[[list[Tensor]], torch.optim.Optimizer],
    ) -> None:
        self.container = container
        self.world = world
        self.own: range = world.share(container.spec.classes)
        self.shared: dict[str, Tensor] = {}
        self.rows: dict[str, Tensor] = {}
        for name, parameter in container.named_parameters():
            if name in container.by_class:
                self.rows[name] = self._own(parameter.detach()).requires_grad_()
            else:
                self.shared[name] = parameter
        every = [*self.shared.values(), *self.rows.values()]
        self.optimiser: torch.optim.Optimizer = make(every)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the following steps."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def step(self, loss: Tensor) -> None:
        """Take one step on the loss of the rank's own classes and of the shared parameters."""
        self.container.zero_grad()
        loss.backward()
        self.prepare_gradients()
        self.world.add(
            parameter.grad for parameter in self.shared.values() if parameter.grad is not None
        )
        for name, parameter in self.container.named_parameters():
            if name in self.rows:
                grad = parameter.grad
                self.rows[name].grad = None if grad is None else self._own(grad)
        self.optimiser.step()

    def prepare_gradients(self) -> None:
        """Change the gradients of the container's parameters before a step."""

    @torch.no_grad()
    def state(self) -> State:
        """Return everything that the next step depends on (collective: all ranks must call it)."""
        found: State = {}
        for name, parameter in self.container.named_parameters():
            if name in self.shared:
                state = self.optimiser.state[parameter]
                if state:
                    found[name] = {key: value.clone() for key, value in state.items()}
            else:
                self._collect(name, parameter, found)
        return found

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Restore what :meth:`state` returned, under any sharding of the classes."""
        for name, saved in state.items():
            if name in self.shared:
                self.optimiser.state[self.shared[name]] = _like(self.shared[name], saved)
                continue
            own = {
                key: value if value.dim() == 0 else self._own(value) for key, value in saved.items()
            }
            self.optimiser.state[self.rows[name]] = _like(self.rows[name], own)

    @torch.no_grad()
    def collect(self) -> None:
        """Gather the rows of all classes on every rank (collective: all ranks must call it)."""
        parameters = self.container.named_parameters()
        rows = [parameter for name, parameter in parameters if name in self.rows]
        self.world.collect(rows, self.container.spec.classes)

    def _own(self, values: Tensor) -> Tensor:
        """Return a view of the own classes' rows of a parameter or a tensor of its shape."""
        each = len(values) // self.container.spec.classes
        return values[self.own.start * each : self.own.stop * each]

    def _collect(self, name: str, parameter: Tensor, found: State) -> None:
        """Add the optimiser's values of one parameter for all classes, if any step was taken."""
        own = self.optimiser.state[self.rows[name]]
        whole = {key: torch.zeros_like(parameter) for key, value in own.items() if value.dim() > 0}
        scalars = {key: value.clone() for key, value in own.items() if value.dim() == 0}
        for key, rows in whole.items():
            self._own(rows).copy_(own[key])
        self.world.collect(whole.values(), self.container.spec.classes)
        if whole:
            found[name] = {**scalars, **whole}


def _like(parameter: Tensor, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key: value.clone() if value.dim() == 0 else torch.empty_like(parameter).copy_(value)
        for key, value in saved.items()
    }
