"""How many networks are trained at once: so many, or as many as the device takes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from hmnpack.errors import BadSettings, is_out_of_memory
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.training.stacked import can_be_wide

Item = TypeVar("Item")
Result = TypeVar("Result")


EVERY = 2**31 - 1
"""Networks at a time where all go at once: more than there ever are."""


def at_once_on(device: torch.device, wanted: int | None = None) -> int:
    """Return how many networks are trained at a time on a device: 1 or more.

    This is the one place that says what ``at_once=None`` means.

    Args:
        device: Where they are trained.
        wanted: What was asked for; None: as many as the device takes. One network keeps a CPU
            busy; elsewhere all go at once, or in parts where :func:`within_memory` finds that the
            memory is too small.

    Raises:
        BadSettings: if less than 1 was asked for.
    """
    if wanted is None:
        return 1 if device.type == "cpu" else EVERY
    if wanted < 1:
        raise BadSettings(f"{wanted} networks at once cannot be trained; give 1 or more")
    return wanted


def side_by_side(network: NetworkConfig, classes: int, image: ImageShape, most: int) -> int:
    """Return how many networks of a kind are trained at a time: those that go side by side, or 1.

    The others are trained one after another anyway, and alone each is done and kept by itself.

    Args:
        network: The kind.
        classes: Number of classes K.
        image: Shape of the images.
        most: From :func:`at_once_on`.
    """
    if most == 1:
        return most
    trial = build_network(network, classes=classes, image=image, generator=stream(0, "trial"))
    shape = image.channels, image.height, image.width
    return most if can_be_wide(trial, shape) else 1


def groups_of(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """Return the items in groups of so many, in order; the last one may be smaller.

    Args:
        items: What is to be done.
        most: Items of a group, 1 or more.
    """
    return [items[start : start + most] for start in range(0, len(items), most)]


def within_memory(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result]:
    """Return the result of every item, done at once, or in halves where the memory is too small.

    Args:
        items: What is to be done, 1 or more.
        work: Does some of them, and returns their results. It starts afresh at each call.

    Raises:
        RuntimeError: if it does not suffice for one; see ``errors.is_out_of_memory``.
    """
    try:
        return list(work(items))
    except RuntimeError as error:
        if len(items) == 1 or not is_out_of_memory(error):
            raise
    # Only here, where the error and with it the tensors of the failed call are gone.
    half = len(items) // 2
    return within_memory(items[:half], work) + within_memory(items[half:], work)
