"""How many networks are trained at once: a given number, or as many as the device supports."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from hmnpack.errors import BadSettings, is_out_of_memory
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.training.stacked import can_be_stacked

Item = TypeVar("Item")
Result = TypeVar("Result")

EVERY = 2**31 - 1
"""Group size that is larger than any number of networks: all are trained at once."""


def at_once_on(device: torch.device, wanted: int | None = None) -> int:
    """Return how many networks to train at a time on a device, at least 1.

    This function defines the meaning of ``at_once=None``.

    Args:
        device: Device of the training.
        wanted: Requested number. None is 1 on a CPU, which one network keeps busy. On other devices
            it is all networks; :func:`within_memory` divides them if memory is insufficient.

    Raises:
        BadSettings: if ``wanted`` is less than 1.
    """
    if wanted is None:
        return 1 if device.type == "cpu" else EVERY
    if wanted < 1:
        raise BadSettings(f"at_once must be 1 or more networks, got {wanted}")
    return wanted


def side_by_side(network: NetworkConfig, classes: int, image: ImageShape, most: int) -> int:
    """Return how many networks of one architecture to train at a time: ``most`` or 1.

    It is 1 for architectures that do not support batched training. They are trained sequentially in
    any case, and with groups of one each result is cached as soon as it is available.

    Args:
        network: The architecture.
        classes: Number of classes K.
        image: Shape of the images.
        most: Maximum number, from :func:`at_once_on`.
    """
    if most == 1:
        return most
    trial = build_network(network, classes=classes, image=image, generator=stream(0, "trial"))
    shape = image.channels, image.height, image.width
    return most if can_be_stacked(trial, shape) else 1


def groups_of(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """Split items into groups, in order; the last group may be smaller.

    Args:
        items: Items to split.
        most: Items per group, 1 or more.
    """
    return [items[start : start + most] for start in range(0, len(items), most)]


def within_memory(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result]:
    """Process items at once, and halve them recursively after an out-of-memory error.

    Args:
        items: Items to process, 1 or more.
        work: Processes some items from scratch and returns their results.

    Returns:
        The result of every item, in order.

    Raises:
        RuntimeError: if memory is insufficient for a single item; see ``errors.is_out_of_memory``.
    """
    try:
        return list(work(items))
    except RuntimeError as error:
        if len(items) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, so that the error and the tensors in its traceback are freed.
    half = len(items) // 2
    return within_memory(items[:half], work) + within_memory(items[half:], work)
