"""Parallel decoding of encoded images into uint8 tensors, in a file or in memory.

Shape legend: N images, C channels, H height, W width.
"""

import contextlib
import io
import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median_low

import numpy as np
import torch
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile
from torch import Tensor

from hmnpack.errors import BadData, BadImage, first_line
from hmnpack.runtime.contents import first_bytes, mistaken_for
from hmnpack.runtime.progress import Listener
from hmnpack.sources.formats import formats
from hmnpack.sources.lazy import Images
from hmnpack.sources.sink import Pixels, sink_of
from hmnpack.sources.types import MAX_SIDE, SourceOptions

Payload = bytes | Path | None
"""An image's encoded bytes or its file; None if the source has neither."""

_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, RuntimeError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""Exceptions that Pillow raises for damaged data (OSError for a truncated file)."""

_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""

_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Keys of the metadata in which Pillow finds the orientation, in order of preference."""

_CHUNK = 128
"""Maximum number of images per task."""

_CHUNK_PIXELS = 2**23
"""Maximum number of pixels per task of more than one image; bounds the memory."""

_SIZED = 1000
"""Maximum number of images whose sizes are looked at to suggest one."""

_SIZES = (32, 64, 96, 128, 224)
"""Usual sides of square images, in pixels."""

_PIXELS_FOR_THREADS = 96 * 96
"""Images with fewer pixels are decoded by one thread: switching the interpreter lock costs more
than parallel decoding saves (32 px, 2 cores: two threads take 1.2 times as long as one)."""


@dataclass(frozen=True)
class Encoded:
    """The images of one split, before decoding.

    Attributes:
        labels: int64 [N].
        read: Returns the encoded images in the half-open range `start`, `stop`.
        name: Returns the name of an image in messages, given its index.
    """

    labels: Tensor
    read: Callable[[int, int], list[Payload]]
    name: Callable[[int], str]


@dataclass(frozen=True)
class Reference:
    """The first readable image; all others must have its size.

    Attributes:
        name: Its name in messages.
        width: In pixels, after resizing if requested.
        height: In pixels, after resizing if requested.
        channels: 1 if it is greyscale, else 3.
        threads: Number of threads worth using for images of this size.
    """

    name: str
    width: int
    height: int
    channels: int
    threads: int

    @property
    def chunk(self) -> int:
        """Number of images per task."""
        return max(1, min(_CHUNK, _CHUNK_PIXELS // (self.width * self.height)))


@dataclass(frozen=True)
class Decoded:
    """The decoded images of one split.

    Attributes:
        images: uint8 [N, C, H, W]; one channel if every image is greyscale, else three.
        labels: int64 [N].
        skipped: Number of unreadable images that were skipped.
    """

    images: Images
    labels: Tensor
    skipped: int


_QUIET = threading.RLock()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings: of images above 89 megapixels, and of damaged metadata.

    Filters of warnings belong to the process, so one thread at a time changes and restores them.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def reference_of(encoded: Encoded, options: SourceOptions) -> Reference:
    """Return the size of the first readable image, which all others must have.

    Raises:
        BadImage: if an image is unreadable and `skip_bad` is off.
        BadData: if no image is readable, or the images are too large.
    """
    for index in range(len(encoded.labels)):
        image = _open(encoded, index, encoded.read(index, index + 1)[0], options)
        if image is None:
            continue
        width, height = image.size
        if max(width, height) > MAX_SIDE:
            raise BadData(
                f"{encoded.name(index)} is {width}x{height} pixels, more than {MAX_SIDE} a side: "
                "choose a smaller size, such as --size 224"
            )
        large = width * height >= _PIXELS_FOR_THREADS or options.size is not None
        threads = (os.cpu_count() or 1) if large else 1
        return Reference(encoded.name(index), width, height, len(image.mode), threads)
    if not len(encoded.labels):
        raise BadData("there are no training images: add some, or choose other classes or lists")
    raise BadData(f"no image is readable; the first is {encoded.name(0)}")


def decode(
    encoded: Encoded,
    reference: Reference,
    options: SourceOptions,
    listener: Listener,
    path: Path | None = None,
) -> Decoded:
    """Decode all images of a split.

    Greyscale images among colour images become RGB. Transparency is dropped. The orientation
    in an image's metadata is applied; damaged metadata are ignored.

    Args:
        encoded: The encoded images.
        reference: The size that every image must have.
        options: The side to resize and crop to, and whether to skip bad images.
        listener: Called with stage `decode`, counting images.
        path: The file to put the pixels in; None: keep them in memory.

    Raises:
        BadImage: if an image is unreadable and `skip_bad` is off.
        BadData: if the size of an image differs from the reference, or the images exceed the
            machine's memory.
        NoRoomError: if the file cannot be written.
    """
    total = len(encoded.labels)
    readable = torch.zeros(total, dtype=torch.bool)
    shape = (total, reference.channels, reference.height, reference.width)
    with contextlib.closing(sink_of(path, shape)) as sink:
        for start, rows, pixels in _chunks(encoded, reference, options):
            sink.add(pixels)
            readable[rows] = True
            listener("decode", min(start + reference.chunk, total), total)
        labels = encoded.labels[readable]
        return Decoded(sink.images(), labels, total - len(labels))


def _chunks(
    encoded: Encoded, reference: Reference, options: SourceOptions
) -> Iterator[tuple[int, list[int], Pixels]]:
    """Yield, in order, a task's first index, its readable indices and pixels [n, 1 or 3, H, W]."""

    def task(start: int) -> tuple[int, list[int], Pixels]:
        return (start, *_decode_chunk(encoded, start, reference, options))

    starts = iter(range(0, len(encoded.labels), reference.chunk))
    with ThreadPoolExecutor(reference.threads) as pool:
        # What is decoded but not stored yet takes memory: no more than a few chunks ahead.
        ahead = deque(pool.submit(task, start) for start in islice(starts, 2 * reference.threads))
        while ahead:
            found = ahead.popleft().result()
            ahead.extend(pool.submit(task, start) for start in islice(starts, 1))
            yield found


def _decode_chunk(
    encoded: Encoded, start: int, reference: Reference, options: SourceOptions
) -> tuple[list[int], Pixels]:
    rows, images = [], []
    stop = min(start + reference.chunk, len(encoded.labels))
    for index, payload in enumerate(encoded.read(start, stop), start):
        image = _open(encoded, index, payload, options)
        if image is not None:
            _expect_size(image, encoded, index, reference)
            rows.append(index)
            images.append(image)
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    data = b"".join(
        (image if image.mode == mode else image.convert(mode)).tobytes() for image in images
    )
    shape = (len(rows), reference.height, reference.width, len(mode))
    return rows, np.frombuffer(data, np.uint8).reshape(shape).transpose(0, 3, 1, 2)


def _expect_size(image: Image.Image, encoded: Encoded, index: int, reference: Reference) -> None:
    width, height = image.size
    if (width, height) != (reference.width, reference.height):
        raise BadData(
            f"{encoded.name(index)} is {width}x{height} pixels but {reference.name} is "
            f"{reference.width}x{reference.height}: resize all to one size, such as "
            f"--size {_usual_size(encoded)}"
        )


def _usual_size(encoded: Encoded) -> int:
    """Return a usual side near the median shorter side; the median itself if images are tiny."""
    count = len(encoded.labels)
    sides = []
    for index in range(0, count, -(-count // _SIZED)):
        payload = encoded.read(index, index + 1)[0]
        with (
            contextlib.suppress(*_UNREADABLE),
            Image.open(_file_of(payload), formats=formats()) as image,
        ):
            sides.append(min(image.size))
    side = median_low(sides or [_SIZES[-1]])
    return side if side < _SIZES[0] else min(_SIZES, key=lambda size: abs(math.log(size / side)))


def _open(
    encoded: Encoded, index: int, payload: Payload, options: SourceOptions
) -> Image.Image | None:
    """Return the decoded image, or None if it is unreadable and `skip_bad` is on."""
    try:
        with Image.open(_file_of(payload), formats=formats()) as image:
            return _prepared(image, options.size)
    except _UNREADABLE as error:
        if options.skip_bad:
            return None
        reason = first_line(error).partition(" <")[0]  # drop an object's repr and address
        reason, mend = mistaken_for(_head_of(payload)) or (reason, "repair it")
        raise BadImage(
            f"cannot read {encoded.name(index)} ({reason}): {mend}, or skip all unreadable "
            "images with --skip-bad"
        ) from error


def _file_of(payload: Payload) -> io.BytesIO | Path:
    """Return what Pillow opens; opening a named pipe or a device could wait for ever."""
    if isinstance(payload, Path):
        if not stat.S_ISREG(payload.stat().st_mode):
            raise ValueError("it is a pipe, a device or a folder")
        return payload
    return io.BytesIO(payload or b"")


def _head_of(payload: Payload) -> bytes:
    """Return the first bytes of an image."""
    if isinstance(payload, Path):
        return first_bytes(payload)
    return payload or b""


def _prepared(image: Image.Image, size: int | None) -> Image.Image:
    """Return the image upright, with 8 bits per channel, in mode L or RGB, and resized."""
    if size is not None:
        # JPEG can be decoded at half size; a threefold margin preserves the resizing quality.
        # Of Caltech-101's photographs (300 x 200), size 64 changes by 0.01 levels on average, 32
        # by 0.7 and 16 by 1.4 against full decoding.
        image.draft(image.mode, (3 * size, 3 * size))
    image.load()
    plain = _plain(_upright(image))
    return plain if size is None else _square(plain, size)


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its metadata say: EXIF, raw PNG profiles or XMP."""
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> object:
    """Return the stored orientation; 1 is upright, and so is an image whose metadata are damaged.

    Damaged metadata do not make an image unreadable. Each damaged block is dropped, so that an
    intact one may still give the orientation.
    """
    for block in (*_METADATA, ""):
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            hash(orientation)  # a damaged entry may hold a list
        except Exception:  # Pillow raises exceptions of many types for damaged metadata
            image.info.pop(block, None)
            image._exif = None  # else the next call returns what was read until the damage
        else:
            return orientation
    return 1


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> (_bits(image) - 8)).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are signed or have more than 16 bits")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _bits(image: Image.Image) -> int:
    """Return the bits used of a 16-bit grey pixel; microscopes and scanners write 12-bit TIFFs."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[BITSPERSAMPLE][0])
    return 16  # Pillow scales all other formats to 16 bits


def _square(image: Image.Image, size: int) -> Image.Image:
    """Return the image with its shorter side resized to `size`, cropped to the centre square."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=3.0)
