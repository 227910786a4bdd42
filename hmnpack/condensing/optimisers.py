"""The optimiser of a stage."""

from collections.abc import Sequence

from hmnpack.condensing.adam import ContainerAdam
from hmnpack.condensing.momentum import ContainerSGD
from hmnpack.condensing.optimiser import ContainerOptimiser
from hmnpack.container import Container
from hmnpack.runtime.ranks import World
from hmnpack.schema.stages import BETAS, Stage


def optimiser_of(
    stage: Stage, container: Container, std: Sequence[float] | None, world: World
) -> ContainerOptimiser:
    """Return the optimiser that a stage asks for.

    Args:
        stage: Adam's decay rates, or SGD's momentum.
        container: Already on its device.
        std: Standard deviation of each channel of the real images; unused by Adam, and by SGD that
            steps on pixels in [0, 1].
        world: The ranks that share the classes.
    """
    if stage.sgd is None:
        return ContainerAdam(container, BETAS, world)
    return ContainerSGD(container, stage.sgd, std if stage.on_normalised else None, world)
