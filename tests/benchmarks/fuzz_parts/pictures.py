"""Pictures that say who they are: four plain quarters, whose levels survive any file format.

Shape legend: C channels, H height, W width.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image

Code = tuple[int, ...]
"""Levels of the quarters: 4 of a grey picture, 4 for each of 3 channels of a colour picture."""

_STEP = 36
"""Distance of two levels; half of it is what formats with loss may be wrong by."""

_LEVELS = 8

_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> what turns an upright picture into the stored one."""


@dataclass(frozen=True)
class Form:
    """A way to store a picture in a file.

    Attributes:
        suffixes: Suffixes that its files have.
        grey: Whether its pictures are grey; None: readers differ.
        levels: The levels that it can store.
        save: Returns the file of an RGB image (grey: three equal channels).
        turns: Whether it can store an orientation.
    """

    suffixes: tuple[str, ...]
    grey: bool | None
    save: Callable[[Image.Image, dict[str, object]], bytes]
    levels: tuple[int, ...] = tuple(range(_LEVELS))
    turns: bool = False


def draw_code(draw: Random, form: Form) -> Code:
    """Return random levels that a form can store."""
    return tuple(draw.choice(form.levels) for _ in range(4 if form.grey else 12))


def image_of(code: Code, width: int, height: int) -> Image.Image:
    """Return the RGB picture of a code."""
    quarters = np.array(code, np.uint8).reshape(-1, 2, 2) * _STEP  # [C, 2, 2]
    rows, columns = (np.arange(side) * 2 // side for side in (height, width))
    pixels = quarters[:, rows][:, :, columns].transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3))))


def code_of(pixels: npt.NDArray[np.uint8]) -> Code:
    """Return the code of decoded pixels [C, H, W], from the middle of each quarter.

    The median of the middle, since a single pixel of a JPEG may be wrong by half a level.
    """
    _, height, width = pixels.shape
    middles = [pixels[:, y, x] for y in _middles(height) for x in _middles(width)]
    found = np.stack([np.median(middle, axis=(1, 2)) for middle in middles], axis=1).astype(int)
    levels = (found + _STEP // 2) // _STEP
    return tuple(levels.clip(0, _LEVELS - 1).flatten().tolist())


def _middles(side: int) -> tuple[slice, slice]:
    """Return the rows or columns in the middle of each half of a side."""
    around, first = (side - 1) // 8, side // 4
    second = side - 1 - first
    return (
        slice(first - around, first + around + 1),
        slice(second - around, second + around + 1),
    )


def in_colour(code: Code) -> Code:
    """Return the code of a picture after conversion to three channels."""
    return code * 3 if len(code) == 4 else code


def encoded(draw: Random, form: Form, code: Code, size: tuple[int, int]) -> bytes:
    """Return the file of a picture, which may be stored turned, with its orientation.

    Args:
        draw: Random choices.
        form: The form of the file.
        code: The levels of the upright picture.
        size: Width and height of the upright picture, in pixels.
    """
    image, options = image_of(code, *size), {}
    if form.turns and draw.random() < 0.2:
        orientation = draw.choice(tuple(_STORED))
        image = image.transpose(_STORED[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    return form.save(image, options)


def _as(mode: str, kind: str, **fixed: object) -> Callable[[Image.Image, dict[str, object]], bytes]:
    def save(image: Image.Image, options: dict[str, object]) -> bytes:
        file = io.BytesIO()
        _converted(image, mode).save(file, kind, **{**fixed, **options})
        return file.getvalue()

    return save


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "1":
        return image.convert("L").point(lambda value: 255 * (value > 127)).convert("1")
    if mode == "P":
        return image.quantize(16, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if mode in ("LA", "RGBA"):  # transparency, which is dropped
        changed = image.convert(mode)
        changed.putalpha(Image.linear_gradient("L").resize(image.size))
        return changed
    return image.convert(mode)


def _frames(kind: str, mode: str) -> Callable[[Image.Image, dict[str, object]], bytes]:
    def save(image: Image.Image, options: dict[str, object]) -> bytes:
        file, first = io.BytesIO(), image.convert(mode)
        others = [first.point(lambda value: 255 - value), first.rotate(180)]
        first.save(file, kind, save_all=True, append_images=others, **options)
        return file.getvalue()

    return save


_PNG, _JPEG, _TIFF = ("png", "PNG"), ("jpg", "jpeg", "JPG", "jpe", "jfif"), ("tif", "tiff", "TIF")
_BLACK_WHITE = (0, _LEVELS - 1)

FORMS: dict[str, Form] = {
    "png-rgb": Form(_PNG, False, _as("RGB", "PNG"), turns=True),
    "png-l": Form(_PNG, True, _as("L", "PNG"), turns=True),
    "png-1": Form(_PNG, True, _as("1", "PNG"), _BLACK_WHITE),
    "png-la": Form(_PNG, True, _as("LA", "PNG")),
    "png-rgba": Form(_PNG, False, _as("RGBA", "PNG"), turns=True),
    "png-p": Form(_PNG, False, _as("P", "PNG")),
    "png-p-transparent": Form(_PNG, False, _as("P", "PNG", transparency=0)),
    "png-16": Form(_PNG, True, _as("I;16", "PNG")),
    "png-animated": Form(_PNG, False, _frames("PNG", "RGB")),
    "jpeg": Form(_JPEG, False, _as("RGB", "JPEG", quality=95, subsampling=0), turns=True),
    "jpeg-progressive": Form(
        _JPEG, False, _as("RGB", "JPEG", quality=95, subsampling=0, progressive=True), turns=True
    ),
    "jpeg-l": Form(_JPEG, True, _as("L", "JPEG", quality=95), turns=True),
    "jpeg-cmyk": Form(_JPEG, False, _as("CMYK", "JPEG", quality=95)),
    "gif": Form(("gif", "GIF"), None, _as("P", "GIF")),
    "gif-animated": Form(("gif",), None, _frames("GIF", "RGB")),
    "webp": Form(("webp",), False, _as("RGB", "WEBP", lossless=True), turns=True),
    "webp-rgba": Form(("webp",), False, _as("RGBA", "WEBP", lossless=True, exact=True)),
    "bmp": Form(("bmp", "BMP"), False, _as("RGB", "BMP")),
    "bmp-1": Form(("bmp",), True, _as("1", "BMP"), _BLACK_WHITE),
    "bmp-p": Form(("bmp",), False, _as("P", "BMP")),
    "tiff": Form(_TIFF, False, _as("RGB", "TIFF"), turns=True),
    "tiff-lzw": Form(_TIFF, False, _as("RGB", "TIFF", compression="tiff_lzw")),
    "tiff-cmyk": Form(_TIFF, False, _as("CMYK", "TIFF")),
    "tiff-16": Form(_TIFF, True, _as("I;16", "TIFF")),
    "tiff-1": Form(_TIFF, True, _as("1", "TIFF", compression="group4"), _BLACK_WHITE),
    "tiff-pages": Form(_TIFF, False, _frames("TIFF", "RGB")),
    "ppm": Form(("ppm", "pnm"), False, _as("RGB", "PPM")),
    "pgm": Form(("pgm", "pnm"), True, _as("L", "PPM")),
    "pgm-16": Form(("pgm",), True, _as("I;16", "PPM")),
    "pbm": Form(("pbm",), True, _as("1", "PPM"), _BLACK_WHITE),
}
"""Forms that are read, by name."""


def unreadable(draw: Random, whole: bytes) -> bytes:
    """Return the bytes of a file that no decoder reads."""
    cuts = (b"", whole[: draw.randint(1, 10)], b"<html>404</html>", b"\0" * draw.randint(1, 99))
    kinds = (*cuts, _as("F", "TIFF")(image_of((1, 2, 3, 4), 8, 8), {}), b"version https://git-lfs")
    return draw.choice(kinds)


def damaged(draw: Random, whole: bytes) -> bytes:
    """Return a file that was cut or changed somewhere; it may still be readable."""
    if draw.random() < 0.5:
        return whole[: draw.randint(11, max(11, len(whole) - 1))]
    data = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)
