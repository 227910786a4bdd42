"""Which classes each stage has."""

import numpy as np

from hmnpack.errors import BadSettings
from hmnpack.schema.continual import ContinualConfig


def stages_of_classes(config: ContinualConfig, classes: int, seed: int) -> list[list[int]]:
    """Return the labels of each stage, in the order in which they arrive.

    Args:
        config: The protocol.
        classes: Number of classes of the dataset.
        seed: Seed of the run, from 0 to 2^32 - 1.

    Example:
        >>> from hmnpack.schema.continual import PAPER
        >>> stages_of_classes(PAPER, 10, 0)
        [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]

    Raises:
        BadSettings: if the stages cannot have equally many classes, or have one class each.
    """
    each, rest = divmod(classes, config.stages)
    if rest or each < 2:
        raise BadSettings(
            f"{classes} classes cannot be divided into {config.stages} stages of two or more each; "
            "choose another number of stages, or some of the classes"
        )
    order = list(range(classes))
    if config.order == "permuted":
        own = seed if config.order_seed is None else config.order_seed
        order = np.random.RandomState(own).permutation(classes).tolist()
    stages = [order[first : first + each] for first in range(0, classes, each)]
    return [sorted(stage) for stage in stages] if config.is_sorted else stages
