"""Augmentation by one family per call, as DSA's "single" mode has it.

Each call draws one of the families at random and applies it to the whole batch: colour (brightness,
saturation and contrast), crop, cutout, flip, scale or rotate. Matching applies one draw to all
images of a class, real and synthetic (siamese); training draws parameters for each image. Formulas
and ranges are those of :mod:`hmnpack.augment`.
"""

import torch

from hmnpack.augment import COLUMNS, Draws, draws_of
from hmnpack.runtime.devices import to_device
from hmnpack.schema.training import Augmentation

COLOUR: tuple[Augmentation, ...] = ("brightness", "saturation", "contrast")
"""The augmentations of the family colour."""


def families(names: tuple[Augmentation, ...]) -> list[tuple[Augmentation, ...]]:
    """Return the families that some augmentations form, in a fixed order.

    Example:
        >>> families(("contrast", "crop", "brightness"))
        [('brightness', 'contrast'), ('crop',)]
    """
    colour = tuple(name for name in COLOUR if name in names)
    others = sorted(set(names) - set(COLOUR))
    return [*([colour] if colour else []), *((name,) for name in others)]


def draw_family(
    names: tuple[Augmentation, ...],
    count: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Draws:
    """Draw a family, and the parameters of its augmentations.

    Args:
        names: The augmentations to choose from; empty: none is applied.
        count: Number of draws n: 1 to share one, or one per image.
        generator: CPU generator.
        device: Device of the result.
    """
    known = families(names) or [()]
    chosen = known[int(torch.randint(len(known), (), generator=generator))]
    uniform = torch.rand(count, COLUMNS, generator=generator)
    return draws_of(to_device(uniform, device), chosen)
