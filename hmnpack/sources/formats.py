"""Image formats that are read, and the suffixes of their files."""

from functools import cache

from PIL import Image, features

_SUFFIXES = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "PNG": ("png",),
    "PPM": ("ppm", "pgm", "pbm", "pnm"),
    "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "AVIF": ("avif", "avifs"),
    "HEIF": ("heic", "heif", "hif"),
}
"""Pillow's name of each format -> suffixes of its files, in lower case."""


def formats() -> tuple[str, ...]:
    """Return the formats to try; no other decoder sees the data, whatever the file's name.

    AVIF is among them if Pillow was built with it, and HEIF if a plug-in such as pillow-heif has
    been registered with Pillow.
    """
    optional = {"AVIF": _has_avif(), "HEIF": "HEIF" in Image.OPEN}
    return tuple(name for name in _SUFFIXES if optional.get(name, True))


def suffixes() -> frozenset[str]:
    """Return the suffixes of the files that are read, in lower case, each with its dot."""
    return frozenset(f".{suffix}" for name in formats() for suffix in _SUFFIXES[name])


@cache
def _has_avif() -> bool:
    return "avif" in features.modules and bool(features.check("avif"))
