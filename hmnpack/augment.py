"""Augmentations as pure functions of normalised images and of numbers drawn beforehand.

``draw`` makes the numbers, ``apply`` uses them: one draw can thus be shared by real and synthetic
images (siamese augmentation), and everything is differentiable with respect to the images.
Formulas, ranges and order are those of the base code of the paper (IDC, ``misc/augment.py``):
flip, brightness, saturation, contrast, crop, scale, rotate, cutout. What leaves the image, and
what is cut out, becomes 0, which in normalised images is the mean colour.

Shape legend: N images, C channels, H height, W width, n draws.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import to_device
from hmnpack.schema.config import TRAINING_AUGMENTATIONS, Augmentation
from hmnpack.schema.manifest import Normalisation

CROP = 0.125
"""Largest shift of a crop, as a part of the side."""
SCALE = 1.2
"""Largest factor of a scaling; the smallest is its inverse."""
DEGREES = 15.0
"""Largest angle of a rotation, either way."""
CUTOUT = 0.5
"""Side of the cut-out square, as a part of the image's side."""

_COLUMNS: dict[Augmentation, tuple[int, ...]] = {
    "flip": (0,),
    "brightness": (1,),
    "saturation": (2,),
    "contrast": (3,),
    "crop": (4, 5),
    "scale": (6, 7),
    "rotate": (8,),
    "cutout": (9, 10),
}
_SPATIAL: tuple[Augmentation, ...] = ("crop", "scale", "rotate", "cutout")
_MIRROR_MATTERS = {"digits", "emnist", "kmnist", "mnist", "qmnist", "svhn", "usps"}


def flips_where_alike(
    augment: tuple[Augmentation, ...], names: tuple[str, ...]
) -> tuple[Augmentation, ...]:
    """Return the default's augmentations without ``flip`` where a mirrored image is another class.

    That is so for digits and letters (IDC leaves flips out for SVHN and MNIST), which are known by
    a word of the data set's name: ``mnist``, ``svhn``, ``digits``, ...; not for ``fashion-mnist``.
    A set of augmentations that is not the default was chosen by somebody, and stays as it is.

    Args:
        augment: The augmentations that were asked for.
        names: Names of the data set, any of which decides.
    """
    if augment != TRAINING_AUGMENTATIONS or not any(_is_of_characters(name) for name in names):
        return augment
    return tuple(name for name in augment if name != "flip")


def _is_of_characters(name: str) -> bool:
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return bool(words & _MIRROR_MATTERS) and "fashion" not in words


@dataclass(frozen=True)
class Draws:
    """Uniform numbers in [0, 1) that decide augmentations; None where one is not applied.

    They say nothing about the image size: ``apply`` turns them into pixels.

    Attributes:
        flip: [n], mirrored left to right where below 0.5.
        brightness: [n], ``x + (u - 0.5)``.
        saturation: [n], factor ``2u`` about each pixel's mean over channels.
        contrast: [n], factor ``u + 0.5`` about the image's mean.
        crop: [n, 2], shift by whole pixels (down, right), at most floor(side / 8 + 0.5).
        scale: [n, 2], factors of width and height, from 1 / 1.2 to 1.2 (above 1 shows more).
        rotate: [n], angle from -15 to 15 degrees.
        cutout: [n, 2], centre (row, column) of a square of half the side.
    """

    flip: Tensor | None = None
    brightness: Tensor | None = None
    saturation: Tensor | None = None
    contrast: Tensor | None = None
    crop: Tensor | None = None
    scale: Tensor | None = None
    rotate: Tensor | None = None
    cutout: Tensor | None = None

    def index(self, rows: Tensor) -> "Draws":
        """Return the draws of these rows (int64 [m]), for instance one per class repeated."""
        return self._each(lambda numbers: numbers[rows])

    def to(self, device: torch.device | str) -> "Draws":
        """Return the draws on that device."""
        return self._each(lambda numbers: numbers.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Draws":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Draws(**{name: function(u) for name, u in values.items() if u is not None})


def draw(
    names: tuple[Augmentation, ...],
    count: int,
    generator: torch.Generator,
    *,
    one_spatial: bool = False,
    device: torch.device | str = "cpu",
) -> Draws:
    """Draw the numbers of some augmentations.

    Every kind has its own numbers of the stream: leaving one out changes no other.

    Args:
        names: Which augmentations.
        count: Number of draws n.
        generator: CPU generator.
        one_spatial: Keep just one of crop, scale, rotate and cutout, chosen at random for the
            whole call (the training protocol), instead of all that are named (matching).
        device: Where the numbers are wanted.
    """
    uniform, kept = draw_numbers(names, count, generator, one_spatial=one_spatial)
    return draws_of(to_device(uniform, device), kept)


def draw_numbers(
    names: tuple[Augmentation, ...],
    count: int,
    generator: torch.Generator,
    *,
    one_spatial: bool = False,
) -> tuple[Tensor, frozenset[Augmentation]]:
    """Return what ``draw`` draws: numbers [n, 11] of all kinds, on the CPU, and the kinds to use.

    Args:
        names: Which augmentations.
        count: Number of draws n.
        generator: CPU generator.
        one_spatial: See ``draw``.
    """
    uniform = torch.rand(count, 11, generator=generator)
    choice = float(torch.rand((), generator=generator))
    kept = set(names)
    if one_spatial:
        spatial = [name for name in _SPATIAL if name in kept]
        kept -= set(spatial) - {spatial[int(choice * len(spatial))]} if spatial else set()
    return uniform, frozenset(kept)


def draws_of(uniform: Tensor, names: Iterable[Augmentation]) -> Draws:
    """Return the draws of some kinds among numbers of all kinds, [n, 11]."""
    columns = {name: slice(_COLUMNS[name][0], _COLUMNS[name][-1] + 1) for name in names}
    return Draws(**{name: uniform[:, places].squeeze(1) for name, places in columns.items()})


def normalise(images_NCHW: Tensor, normalisation: Normalisation) -> Tensor:
    """Return ``(x - mean) / std`` per channel.

    Args:
        images_NCHW: In [0, 1], of a floating type; or one image [C, H, W].
        normalisation: Mean and deviation of each channel.

    Example:
        >>> normalise(torch.ones(1, 1, 1), Normalisation(mean=(0.5,), std=(0.25,))).item()
        2.0

    Raises:
        BadSettings: if they are integers, such as pixels from 0 to 255.
    """
    if not images_NCHW.is_floating_point():
        raise BadSettings(f"images are {images_NCHW.dtype}; bring pixels to [0, 1] by images / 255")
    factors = [1 / std for std in normalisation.std]
    rows = [normalisation.mean, factors]
    numbers = torch.tensor(rows, dtype=images_NCHW.dtype, device="cpu")
    mean, scale = to_device(numbers, images_NCHW.device).view(2, -1, 1, 1).unbind()
    return (images_NCHW - mean) * scale


def apply(images_NCHW: Tensor, draws: Draws) -> Tensor:
    """Return augmented images; differentiable.

    Args:
        images_NCHW: Normalised images, float.
        draws: n = N draws (one per image), or n = 1 (the same for all), on the images' device.
    """
    for name, function in _FUNCTIONS.items():
        numbers = getattr(draws, name)
        if numbers is not None:
            images_NCHW = function(images_NCHW, numbers)
    return images_NCHW


def _column(numbers: Tensor, images_NCHW: Tensor) -> Tensor:
    return numbers.to(images_NCHW.dtype).view(-1, 1, 1, 1)


def flip(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Mirror the images whose number (of [n]) is below 0.5 left to right."""
    return torch.where(_column(numbers, images_NCHW) < 0.5, images_NCHW.flip(3), images_NCHW)


def brightness(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Add ``u - 0.5``, for u of [n]."""
    return images_NCHW + (_column(numbers, images_NCHW) - 0.5)


def saturation(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Scale by ``2u`` about each pixel's mean over channels (one channel: no change)."""
    if images_NCHW.shape[1] == 1:
        return images_NCHW
    return torch.lerp(
        images_NCHW.mean(1, keepdim=True), images_NCHW, _column(numbers, images_NCHW) * 2
    )


def contrast(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Scale by ``u + 0.5`` about each image's mean over channels and pixels."""
    mean = images_NCHW.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images_NCHW, _column(numbers, images_NCHW) + 0.5)


def crop(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Shift by whole pixels, for u of [n, 2] (rows, columns); zeros come in at the border."""
    height, width = images_NCHW.shape[2:]
    rows = _shifted(numbers[:, 0], height)
    columns = _shifted(numbers[:, 1], width)
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    flat = images_NCHW.flatten(2)
    moved = flat.gather(2, places.view(-1, 1, height * width).expand_as(flat))
    return moved.view_as(images_NCHW) * inside[:, None].to(images_NCHW.dtype)


def _shifted(numbers: Tensor, side: int) -> Tensor:
    """Return int64 [n, side]: where each output row is read, outside the image or in it."""
    most = math.floor(side * CROP + 0.5)
    shift = (numbers * (2 * most + 1)).long() - most
    return torch.arange(side, device=numbers.device)[None] + shift[:, None]


def scale(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Resize about the centre by factors from 1 / 1.2 to 1.2, for u of [n, 2] (width, height)."""
    factors = numbers * (SCALE - 1 / SCALE) + 1 / SCALE
    return _sample(images_NCHW, torch.diag_embed(factors))


def rotate(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Turn about the centre by ``(2u - 1) * 15`` degrees, for u of [n]."""
    angle = (numbers - 0.5) * (2 * DEGREES / 180 * math.pi)
    cosine, sine = angle.cos(), angle.sin()
    # Places are in halves of each side, in which a turn of an image that is no square is skewed.
    flat = images_NCHW.shape[2] / images_NCHW.shape[3]
    turns = torch.stack([cosine, -sine * flat, sine / flat, cosine], 1).view(-1, 2, 2)
    return _sample(images_NCHW, turns)


def _sample(images_NCHW: Tensor, matrices: Tensor) -> Tensor:
    """Return bilinear samples of the images at linearly mapped places; matrices are [n, 2, 2]."""
    theta = F.pad(matrices.to(images_NCHW.dtype), (0, 1)).expand(len(images_NCHW), 2, 3)
    grid = F.affine_grid(theta, list(images_NCHW.shape), align_corners=False)
    return F.grid_sample(images_NCHW, grid, align_corners=False)


def cutout(images_NCHW: Tensor, numbers: Tensor) -> Tensor:
    """Zero a square of half the side, centred anywhere, for u of [n, 2] (row, column)."""
    height, width = images_NCHW.shape[2:]
    rows = _covered(numbers[:, 0], height)[:, None, :, None]
    columns = _covered(numbers[:, 1], width)[:, None, None, :]
    return images_NCHW * (~(rows & columns)).to(images_NCHW.dtype)


def _covered(numbers: Tensor, side: int) -> Tensor:
    """Return bool [n, side]: which rows (or columns) a square covers."""
    size = math.floor(side * CUTOUT + 0.5)
    first = (numbers * (side + 1 - size % 2)).long() - size // 2
    places = torch.arange(side, device=numbers.device)[None]
    return (places >= first[:, None]) & (places < first[:, None] + size)


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flip": flip,
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "crop": crop,
    "scale": scale,
    "rotate": rotate,
    "cutout": cutout,
}


class Mixed(NamedTuple):
    """A cut-mixed batch: image i is part ``kept`` of i and the rest of ``partner[i]``."""

    images: Tensor
    partner: Tensor
    """int64 [N], a permutation."""
    kept: float
    """Part of the area that is the image's own, in [0, 1]: the weight of its own label."""


class Cut(NamedTuple):
    """How a batch is to be cut-mixed: which box of which partner is pasted into each image."""

    rows: slice
    columns: slice
    partner: Tensor
    """int64 [N], a permutation, on the CPU."""
    kept: float
    """Part of the area that is the image's own, in [0, 1]."""


def cutmix(images_NCHW: Tensor, generator: torch.Generator) -> Mixed:
    """Paste one box of each image's partner into it, the same box for the whole batch.

    Args:
        images_NCHW: A batch.
        generator: CPU generator: the box never waits for the device.
    """
    cut = draw_cut(len(images_NCHW), images_NCHW.shape[2], images_NCHW.shape[3], generator)
    partner = to_device(cut.partner, images_NCHW.device)
    mixed = images_NCHW.clone()
    mixed[:, :, cut.rows, cut.columns] = images_NCHW[:, :, cut.rows, cut.columns][partner]
    return Mixed(mixed, partner, cut.kept)


def draw_cut(count: int, height: int, width: int, generator: torch.Generator) -> Cut:
    """Draw what ``cutmix`` pastes.

    The box has the area 1 - lambda before it is cut off at the border, lambda ~ Beta(1, 1); the
    labels are to be mixed by the exact area (IDC ``train.py``, ``rand_bbox``).

    Args:
        count: Images of the batch.
        height: Of an image, in pixels.
        width: Of an image, in pixels.
        generator: CPU generator.
    """
    lam, row, column = torch.rand(3, generator=generator).tolist()
    side = math.sqrt(1 - lam)
    top, bottom = _span(row, int(height * side), height)
    left, right = _span(column, int(width * side), width)
    partner = torch.randperm(count, generator=generator)
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return Cut(slice(top, bottom), slice(left, right), partner, kept)


def _span(number: float, size: int, side: int) -> tuple[int, int]:
    """Return first and last + 1 of ``size`` places about a random one, cut off at the border."""
    centre = int(number * side)
    return max(centre - size // 2, 0), min(centre + size // 2, side)
