"""Adam over a container, some classes at a time.

Rows that belong to classes are optimised as views of their parameter, block by block: a step on
one block leaves the others where they are, their averages and their counts of steps too, and a
rank keeps averages for its own classes alone. What is saved is the same however the classes were
cut, so a run can go on with another number of ranks.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hmnpack.container import Container
from hmnpack.ranks import World

State = dict[str, dict[str, Tensor]]
"""Parameter name -> ``step`` (a scalar), ``exp_avg`` and ``exp_avg_sq`` (of its shape)."""


class ContainerAdam:
    """Adam steps on a container's parameters, in place.

    Args:
        container: On its device; its parameters keep their identity.
        betas: Decay of the mean gradient and of the squared gradient.
        blocks: This rank's classes, cut into the blocks that are stepped on separately.
        world: The ranks whose gradients of shared parameters are added up.
    """

    def __init__(
        self,
        container: Container,
        betas: tuple[float, float],
        blocks: Sequence[range],
        world: World,
    ) -> None:
        self.container = container
        self.blocks = blocks
        self.world = world
        self.shared: dict[str, Tensor] = {}
        self.rows: list[dict[str, Tensor]] = [{} for _ in blocks]
        for name, parameter in container.named_parameters():
            if name not in container.by_class:
                self.shared[name] = parameter
                continue
            for block, views in zip(blocks, self.rows, strict=True):
                views[name] = self._rows(parameter.detach(), block).requires_grad_()
        every = [*self.shared.values(), *(view for rows in self.rows for view in rows.values())]
        self.optimiser = torch.optim.Adam(every, betas=betas)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the steps to come."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def step(self, loss: Tensor, block: int) -> None:
        """Take one step down a loss that depends on one block of classes, and on what is shared."""
        self.container.zero_grad()
        loss.backward()
        self.world.add(
            parameter.grad for parameter in self.shared.values() if parameter.grad is not None
        )
        parameters = dict(self.container.named_parameters())
        for name, view in self.rows[block].items():
            grad = parameters[name].grad
            view.grad = None if grad is None else self._rows(grad, self.blocks[block])
        self.optimiser.step()
        for view in self.rows[block].values():
            view.grad = None

    @torch.no_grad()
    def state(self) -> State:
        """Return everything that the next step depends on; every rank calls this together."""
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
        """Take up what :meth:`state` gave, for any cut of the classes."""
        for name, saved in state.items():
            if name in self.shared:
                self.optimiser.state[self.shared[name]] = _like(self.shared[name], saved)
                continue
            for block, views in zip(self.blocks, self.rows, strict=True):
                own = {
                    key: value if value.dim() == 0 else self._rows(value, block)
                    for key, value in saved.items()
                }
                self.optimiser.state[views[name]] = _like(views[name], own)

    @torch.no_grad()
    def collect(self) -> None:
        """Give every rank the rows of all classes; every rank calls this together."""
        parameters = self.container.named_parameters()
        rows = [parameter for name, parameter in parameters if name not in self.shared]
        self.world.collect(rows, self.container.spec.classes)

    def _rows(self, values: Tensor, block: range) -> Tensor:
        each = len(values) // self.container.spec.classes
        return values[block.start * each : block.stop * each]

    def _collect(self, name: str, parameter: Tensor, found: State) -> None:
        """Add the averages of all classes' rows of one parameter, if steps were taken."""
        whole: dict[str, Tensor] = {}
        steps = torch.zeros(())
        for block, views in zip(self.blocks, self.rows, strict=True):
            state: dict[str, Any] = self.optimiser.state[views[name]]
            for key, value in state.items():
                if value.dim() == 0:
                    steps = value.clone()
                else:
                    rows = whole.setdefault(key, torch.zeros_like(parameter))
                    self._rows(rows, block).copy_(value)
        self.world.collect(whole.values(), self.container.spec.classes)
        if whole:
            found[name] = {"step": steps, **whole}


def _like(parameter: Tensor, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key: value.clone() if value.dim() == 0 else torch.empty_like(parameter).copy_(value)
        for key, value in saved.items()
    }
