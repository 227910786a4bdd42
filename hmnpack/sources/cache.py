"""Disk cache of decoded datasets; it may be deleted at any time.

Each dataset is a folder: a file of pixels per split, in the order in which they were decoded, and
a safetensors file of labels, hashes, the canonical order and facts. Pixels are read when they are
used. A folder gets its name when it is complete, so that nothing half-written is ever read.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.sources.assemble import pixels_name
from hmnpack.sources.lazy import Images, LazyImages, chunks, is_in_file
from hmnpack.sources.partial import partial_folder
from hmnpack.sources.pixel_file import PixelFile
from hmnpack.sources.sink import FileSink, NoRoomError
from hmnpack.sources.types import Source, SourceOptions, Split

_LAYOUT = "decoded/7"
"""Part of every key; increment it when decoding or the file layout changes."""

_FACTS = "facts.safetensors"


def key_of_files(files: Iterable[Path]) -> str:
    """Return the sha256 of the names and contents of files, in the given order.

    Raises:
        BadData: if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadData(f"cannot read {path} ({error.strerror or error})") from error
        digest.update(f"{path.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def key_of_listing(root: Path, files: Iterable[Path]) -> str:
    """Return the sha256 of paths, inode numbers, sizes and times of files, in the given order.

    For folders of many files, whose contents take as long to hash as to decode. Swapping two
    files of equal size changes the key by their inode numbers, even if all have the same
    modification time.
    """
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in files:
        line = f"{path.relative_to(root)}\0{_facts(path)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _facts(path: Path) -> str:
    """Return a file's inode, size and times as text; empty if the file is gone."""
    try:
        found = path.stat()
    except OSError:
        return ""  # decoding will report it or skip it
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def through_cache(
    name: str, key: str, options: SourceOptions, make: Callable[[Path | None], Source]
) -> Source:
    """Return the dataset from the cache, or decode it into the cache.

    An unreadable or unwritable cache is not an error: the dataset is then decoded into memory. A
    dataset whose test split cannot be read is not kept.

    Args:
        name: Name of the dataset; not part of the cache key.
        key: Identity of the encoded files.
        options: Decoding options, which are part of the cache key, and the cache's location.
        make: Decodes the dataset on a cache miss. It may put the pixels in the given folder, see
            `hmnpack.sources.assemble`; None: it must keep them in memory.
    """
    identity = json.dumps([_LAYOUT, key, options.size, options.skip_bad])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    path = options.cache_root / "decoded" / digest
    found = _read(path)
    if found is None:
        found = _made(path, make)
    return replace(found, name=name)


def _made(path: Path, make: Callable[[Path | None], Source]) -> Source:
    """Return the decoded dataset: from the cache, if that can hold it, else in memory."""
    with partial_folder(path) as folder:
        if folder is not None:
            with contextlib.suppress(NoRoomError):
                return _kept(make(folder), folder, path)
    return make(None)


def _kept(source: Source, folder: Path, path: Path) -> Source:
    """Return a dataset from the cache, after completing its folder and giving it its name.

    If that fails, the dataset still reads its pixels from files that have no name any more.
    """
    if source.test_problem is not None:
        return source  # cached, it would seem to have no test split
    with contextlib.suppress(OSError, SafetensorError):
        _write(folder, source)
        if _read(path) is None:  # another process may have been first
            shutil.rmtree(path, ignore_errors=True)  # if it is damaged
            folder.rename(path)
    return _read(path) or source


def _read(path: Path) -> Source | None:
    """Return the cached dataset, or None if it is missing or damaged."""
    try:
        with safe_open(path / _FACTS, framework="pt") as file:
            facts = json.loads(file.metadata()["source"])
            parts = {
                part: Split(
                    pixels=_pixels(path, part, shapes, file.get_tensor(f"{part}.rows")),
                    labels=file.get_tensor(f"{part}.labels"),
                    digests=file.get_tensor(f"{part}.digests"),
                    fingerprint=facts["fingerprints"][part],
                )
                for part, shapes in facts["shapes"].items()
            }
        return Source(
            name="",
            classes=tuple(facts["classes"]),
            train=parts["train"],
            test=parts.get("test"),
            skipped=dict(facts["skipped"]),
        )
    except (OSError, SafetensorError, LookupError, TypeError, ValueError):
        return None


def _pixels(folder: Path, part: str, shape: list[int], rows: Tensor) -> LazyImages:
    """Return the images of a split in canonical order.

    Args:
        folder: Folder of the dataset.
        part: Name of the split.
        shape: Shape of its stored images, then the number of channels of its images.
        rows: Index of each image among the stored ones, int64 [N].
    """
    *stored, channels = shape
    file = PixelFile(folder / pixels_name(part), stored)
    return LazyImages(file, rows, torch.device("cpu"), channels)


def _write(folder: Path, source: Source) -> None:
    """Write what is not in a folder yet: all but the pixels that were decoded into it."""
    parts = {"train": source.train} | ({"test": source.test} if source.test else {})
    shapes: dict[str, list[int]] = {}
    tensors: dict[str, Tensor] = {}
    for part, split in parts.items():
        pixels = _in_file(split.pixels, folder / pixels_name(part))
        shapes[part] = [*pixels.stored.shape, pixels.channels]
        tensors[f"{part}.rows"] = pixels.rows
        tensors[f"{part}.labels"] = split.labels
        tensors[f"{part}.digests"] = split.digests
    facts = {
        "classes": source.classes,
        "fingerprints": {part: split.fingerprint for part, split in parts.items()},
        "skipped": dict(source.skipped),
        "shapes": shapes,
    }
    data = save(tensors, {"source": json.dumps(facts)})
    with (folder / _FACTS).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _in_file(images: Images, path: Path) -> LazyImages:
    """Return images that are in a file, which is written if they are not yet."""
    if isinstance(images, LazyImages) and is_in_file(images, path):
        return images
    count, channels, height, width = images.shape
    with contextlib.closing(FileSink(path, (count, channels, height, width))) as sink:
        for chunk in chunks(images):
            sink.add(chunk.numpy())
        return sink.images()
