"""SGD with momentum over a container of pixels, as the methods to compare with have it."""

from collections.abc import Sequence
from functools import partial

import torch

from hmnpack.condensing.optimiser import ContainerOptimiser
from hmnpack.container import Container
from hmnpack.runtime.ranks import World


class ContainerSGD(ContainerOptimiser):
    """SGD with momentum on pixels x in [0, 1], with a learning rate per channel.

    A step on normalised pixels z = (x - mean) / std with rate r changes z by -r dL/dz. As
    dL/dz = std dL/dx and x changes by std times the change of z, it changes x by -r std^2 dL/dx:
    SGD on x with the rate r std^2. The same holds with momentum, which is linear in the gradients.

    Args:
        container: Its parameters are pixels, [n, C, H, W]; already on its device.
        momentum: Momentum of the optimiser.
        std: Standard deviation of each channel, in whose units the method steps; None: the method
            steps on x itself.
        world: The ranks that share the classes.
    """

    def __init__(
        self, container: Container, momentum: float, std: Sequence[float] | None, world: World
    ) -> None:
        super().__init__(container, world, partial(torch.optim.SGD, momentum=momentum))
        self.std = std

    @torch.no_grad()
    def prepare_gradients(self) -> None:
        """Multiply the gradient of each channel by its squared standard deviation."""
        if self.std is None:
            return
        for parameter in self.container.parameters():
            if parameter.grad is not None:
                scale = torch.tensor(self.std, dtype=parameter.dtype).square()
                parameter.grad *= scale.to(parameter.device)[:, None, None]
