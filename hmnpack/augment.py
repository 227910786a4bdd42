"""Augmentations as pure functions of normalised images and random parameters.

``draw`` samples the parameters and ``apply`` uses them. Real and synthetic images can therefore
share one draw (siamese augmentation), and the result is differentiable with respect to the images.
Formulas, ranges and order follow the code base of the paper (IDC, ``misc/augment.py``): flip,
brightness, saturation, contrast, crop, scale, rotate, cutout. Pixels from outside the image and
cut-out pixels are 0, the mean colour of normalised images.

Shape legend: N images, C channels, H height, W width, n draws.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import to_device
from hmnpack.schema.characters import without_mirrored_characters
from hmnpack.schema.config import TRAINING_AUGMENTATIONS, Augmentation
from hmnpack.schema.manifest import Normalisation

CROP = 0.125
"""Largest shift of a crop, as a fraction of the side."""
SCALE = 1.2
"""Largest scale factor; the smallest is its inverse."""
DEGREES = 15.0
"""Largest rotation in either direction, in degrees."""
CUTOUT = 0.5
"""Side of the cut-out square, as a fraction of the image's side."""

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
COLUMNS = 11
"""Samples in [0, 1) that parametrise all augmentations of one image, whichever are applied."""
_SPATIAL: tuple[Augmentation, ...] = ("crop", "scale", "rotate", "cutout")


def flips_where_alike(
    augment: tuple[Augmentation, ...], names: tuple[str, ...]
) -> tuple[Augmentation, ...]:
    """Remove ``flip`` from the default augmentations for datasets of digits or letters.

    A mirrored character may belong to another class; IDC does not flip SVHN and MNIST either.
    Such datasets are recognised by a word in their name: ``mnist``, ``svhn``, ``digits``, ..., but
    not ``fashion-mnist``. Augmentations other than the default are an explicit choice and are
    returned unchanged.

    Args:
        augment: The requested augmentations.
        names: Names of the dataset; one that matches suffices.
    """
    if augment != TRAINING_AUGMENTATIONS:
        return augment
    return without_mirrored_characters(augment, *names)


@dataclass(frozen=True)
class Draws:
    """Uniform samples u in [0, 1) that parametrise augmentations; None disables one.

    They are independent of the image size: ``apply`` converts them to pixels.

    Attributes:
        flip: [n], mirrored left to right if below 0.5.
        brightness: [n], ``x + (u - 0.5)``.
        saturation: [n], factor ``2u`` about each pixel's mean over channels.
        contrast: [n], factor ``u + 0.5`` about the image's mean.
        crop: [n, 2], integer shift in pixels (down, right), at most floor(side / 8 + 0.5).
        scale: [n, 2], factors of width and height, from 1 / 1.2 to 1.2 (above 1 zooms out).
        rotate: [n], angle from -15 to 15 degrees.
        cutout: [n, 2], centre (row, column) of a square with half the image's side.
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
        """Return the draws at these indices (int64 [m]), for example to repeat one per class."""
        return self._map(lambda uniform: uniform[rows])

    def to(self, device: torch.device | str) -> "Draws":
        """Return the draws on a device."""
        return self._map(lambda uniform: uniform.to(device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Draws":
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
    """Draw the random parameters of some augmentations.

    Each augmentation has its own columns of the random stream, so omitting one changes no other.

    Args:
        names: The augmentations.
        count: Number of draws n.
        generator: CPU generator.
        one_spatial: Use only one of crop, scale, rotate and cutout, chosen at random for the
            whole call (as in training), instead of all that are named (as in matching).
        device: Device of the result.
    """
    uniform, selected = draw_numbers(names, count, generator, one_spatial=one_spatial)
    return draws_of(to_device(uniform, device), selected)


def draw_numbers(
    names: tuple[Augmentation, ...],
    count: int,
    generator: torch.Generator,
    *,
    one_spatial: bool = False,
) -> tuple[Tensor, frozenset[Augmentation]]:
    """Return the samples of ``draw``, [n, 11] on the CPU, and the augmentations to apply.

    The columns cover all augmentations, whether they are applied or not.

    Args:
        names: The augmentations.
        count: Number of draws n.
        generator: CPU generator.
        one_spatial: See ``draw``.
    """
    uniform = torch.rand(count, COLUMNS, generator=generator)
    choice = float(torch.rand((), generator=generator))
    selected = set(names)
    if one_spatial:
        spatial = [name for name in _SPATIAL if name in selected]
        selected -= set(spatial) - {spatial[int(choice * len(spatial))]} if spatial else set()
    return uniform, frozenset(selected)


def draws_of(uniform: Tensor, names: Iterable[Augmentation]) -> Draws:
    """Return the draws of some augmentations from the samples of all, [n, 11]."""
    columns = {name: slice(_COLUMNS[name][0], _COLUMNS[name][-1] + 1) for name in names}
    return Draws(**{name: uniform[:, column].squeeze(1) for name, column in columns.items()})


def normalise(images_NCHW: Tensor, normalisation: Normalisation) -> Tensor:
    """Return ``(x - mean) / std`` per channel.

    Args:
        images_NCHW: Floating point, in [0, 1]; also a single image [C, H, W].
        normalisation: Mean and standard deviation of each channel.

    Example:
        >>> normalise(torch.ones(1, 1, 1), Normalisation(mean=(0.5,), std=(0.25,))).item()
        2.0

    Raises:
        BadSettings: if the images are integers, such as pixels from 0 to 255.
    """
    if not images_NCHW.is_floating_point():
        raise BadSettings(f"images are {images_NCHW.dtype}; scale pixels to [0, 1]: images / 255")
    factors = [1 / std for std in normalisation.std]
    rows = [normalisation.mean, factors]
    parameters = torch.tensor(rows, dtype=images_NCHW.dtype, device="cpu")
    mean, scale = to_device(parameters, images_NCHW.device).view(2, -1, 1, 1).unbind()
    return (images_NCHW - mean) * scale


def apply(images_NCHW: Tensor, draws: Draws) -> Tensor:
    """Return augmented images; differentiable.

    Args:
        images_NCHW: Normalised images, float.
        draws: n = N draws (one per image) or n = 1 (shared by all), on the images' device.
    """
    for name, function in _FUNCTIONS.items():
        uniform = getattr(draws, name)
        if uniform is not None:
            images_NCHW = function(images_NCHW, uniform)
    return images_NCHW


def _column(uniform: Tensor, images_NCHW: Tensor) -> Tensor:
    return uniform.to(images_NCHW.dtype).view(-1, 1, 1, 1)


def flip(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Mirror left to right if u < 0.5, for u of [n]."""
    return torch.where(_column(uniform, images_NCHW) < 0.5, images_NCHW.flip(3), images_NCHW)


def brightness(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Add ``u - 0.5``, for u of [n]."""
    return images_NCHW + (_column(uniform, images_NCHW) - 0.5)


def saturation(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Scale by ``2u`` about each pixel's mean over channels, for u of [n]; skips greyscale."""
    if images_NCHW.shape[1] == 1:
        return images_NCHW
    return torch.lerp(
        images_NCHW.mean(1, keepdim=True), images_NCHW, _column(uniform, images_NCHW) * 2
    )


def contrast(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Scale by ``u + 0.5`` about each image's mean over channels and pixels, for u of [n]."""
    mean = images_NCHW.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images_NCHW, _column(uniform, images_NCHW) + 0.5)


def crop(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Shift by whole pixels with zero padding, for u of [n, 2] (rows, columns)."""
    height, width = images_NCHW.shape[2:]
    rows = _shifted(uniform[:, 0], height)
    columns = _shifted(uniform[:, 1], width)
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    flat = images_NCHW.flatten(2)
    moved = flat.gather(2, index.view(-1, 1, height * width).expand_as(flat))
    return moved.view_as(images_NCHW) * inside[:, None].to(images_NCHW.dtype)


def _shifted(uniform: Tensor, side: int) -> Tensor:
    """Return the source index of each output row, int64 [n, side]; may lie outside the image."""
    most = math.floor(side * CROP + 0.5)
    shift = (uniform * (2 * most + 1)).long() - most
    return torch.arange(side, device=uniform.device)[None] + shift[:, None]


def scale(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Resize about the centre by factors from 1 / 1.2 to 1.2, for u of [n, 2] (width, height)."""
    factors = uniform * (SCALE - 1 / SCALE) + 1 / SCALE
    return _sample(images_NCHW, torch.diag_embed(factors))


def rotate(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Rotate about the centre by ``(2u - 1) * 15`` degrees, for u of [n]."""
    angle = (uniform - 0.5) * (2 * DEGREES / 180 * math.pi)
    cosine, sine = angle.cos(), angle.sin()
    # grid_sample's coordinates are scaled by each side, which would skew non-square images.
    aspect = images_NCHW.shape[2] / images_NCHW.shape[3]
    rotations = torch.stack([cosine, -sine * aspect, sine / aspect, cosine], 1).view(-1, 2, 2)
    return _sample(images_NCHW, rotations)


def _sample(images_NCHW: Tensor, matrices: Tensor) -> Tensor:
    """Return the images resampled bilinearly under linear maps [n, 2, 2]."""
    theta = F.pad(matrices.to(images_NCHW.dtype), (0, 1)).expand(len(images_NCHW), 2, 3)
    grid = F.affine_grid(theta, list(images_NCHW.shape), align_corners=False)
    return F.grid_sample(images_NCHW, grid, align_corners=False)


def cutout(images_NCHW: Tensor, uniform: Tensor) -> Tensor:
    """Zero a square of half the side, centred anywhere, for u of [n, 2] (row, column)."""
    height, width = images_NCHW.shape[2:]
    rows = _covered(uniform[:, 0], height)[:, None, :, None]
    columns = _covered(uniform[:, 1], width)[:, None, None, :]
    return images_NCHW * (~(rows & columns)).to(images_NCHW.dtype)


def _covered(uniform: Tensor, side: int) -> Tensor:
    """Return a mask of the rows (or columns) that the square covers, bool [n, side]."""
    size = math.floor(side * CUTOUT + 0.5)
    first = (uniform * (side + 1 - size % 2)).long() - size // 2
    index = torch.arange(side, device=uniform.device)[None]
    return (index >= first[:, None]) & (index < first[:, None] + size)


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
    """A CutMix batch: a fraction ``kept`` of image i is its own, the rest from ``partner[i]``."""

    images: Tensor
    partner: Tensor
    """int64 [N], a permutation."""
    kept: float
    """Fraction of the area that is the image's own, in [0, 1]: the weight of its own label."""


class Cut(NamedTuple):
    """CutMix parameters of a batch: the box, and the partner that it is pasted from."""

    rows: slice
    columns: slice
    partner: Tensor
    """int64 [N], a permutation, on the CPU."""
    kept: float
    """Fraction of the area that is the image's own, in [0, 1]."""


def cutmix(images_NCHW: Tensor, generator: torch.Generator) -> Mixed:
    """Apply CutMix: paste a box of each image's partner into it, the same box for the whole batch.

    Args:
        images_NCHW: A batch.
        generator: CPU generator, so that drawing the box does not synchronise with the device.
    """
    cut = draw_cut(len(images_NCHW), images_NCHW.shape[2], images_NCHW.shape[3], generator)
    partner = to_device(cut.partner, images_NCHW.device)
    mixed = images_NCHW.clone()
    mixed[:, :, cut.rows, cut.columns] = images_NCHW[:, :, cut.rows, cut.columns][partner]
    return Mixed(mixed, partner, cut.kept)


def draw_cut(count: int, height: int, width: int, generator: torch.Generator) -> Cut:
    """Draw the parameters of ``cutmix``.

    Before it is clipped at the border, the box covers a fraction 1 - lambda of the image, with
    lambda ~ Beta(1, 1). Labels are mixed by the exact area (IDC ``train.py``, ``rand_bbox``).

    Args:
        count: Number of images in the batch.
        height: Image height in pixels.
        width: Image width in pixels.
        generator: CPU generator.
    """
    lam, row, column = torch.rand(3, generator=generator).tolist()
    side = math.sqrt(1 - lam)
    top, bottom = _span(row, int(height * side), height)
    left, right = _span(column, int(width * side), width)
    partner = torch.randperm(count, generator=generator)
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return Cut(slice(top, bottom), slice(left, right), partner, kept)


def _span(uniform: float, size: int, side: int) -> tuple[int, int]:
    """Return start and stop of ``size`` pixels about a random centre, clipped at the border."""
    centre = int(uniform * side)
    return max(centre - size // 2, 0), min(centre + size // 2, side)
