"""Adam over a container."""

from functools import partial

import torch

from hmnpack.condensing.optimiser import ContainerOptimiser
from hmnpack.container import Container
from hmnpack.runtime.ranks import World


class ContainerAdam(ContainerOptimiser):
    """Adam; see :class:`ContainerOptimiser`.

    Args:
        container: Already on its device; its parameter objects are not replaced.
        betas: Decay rates of the running mean of the gradient and of the squared gradient.
        world: The ranks that share the classes.
    """

    def __init__(self, container: Container, betas: tuple[float, float], world: World) -> None:
        super().__init__(container, world, partial(torch.optim.Adam, betas=betas))
