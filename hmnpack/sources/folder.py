"""Folders of image files in the ImageFolder layout: `train/<class>/<image>`."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from hmnpack.errors import BadData
from hmnpack.runtime.progress import Listener
from hmnpack.sources.assemble import decode_source
from hmnpack.sources.cache import key_of_listing, through_cache
from hmnpack.sources.convention import (
    TEST_SPLITS,
    TRAIN,
    choose_test_split,
    name_of,
    warn_of_unknown_splits,
)
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.types import Source, SourceOptions, path_of

_EXTENSIONS = frozenset(
    f".{name}"
    for formats in ("jpg jpeg jpe jfif png", "ppm pgm pbm pnm bmp", "tif tiff webp gif")
    for name in formats.split()
)
"""Suffixes of image files, in lower case, for the supported formats."""


def is_path(spec: str) -> bool:
    """Return whether a text is an existing path."""
    return bool(spec) and path_of(spec).exists()


def open_folder(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder with `train/` and a test split such as `test/` or `val/`.

    Each has one folder per class. A test split without labelled images is left out.

    Classes, and images within a class, are sorted by name, as in torchvision. Hidden files and
    folders (names that begin with a dot) are skipped.

    Raises:
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    root = path_of(spec)
    splits = _splits(root)
    train = splits.get(TRAIN)
    if train is None:
        raise BadData(_layout(root))
    classes = _classes(train)
    test_name = choose_test_split(root, splits, lambda name: _why_unusable(splits[name], classes))
    test = splits[test_name] if test_name else None
    _expect_known(classes, test)
    files = [_images(train, classes), _images(test, classes) if test else []]

    name = name_of(root)

    def make() -> Source:
        tested = _encoded(root, files[1]) if test else None
        return decode_source(name, classes, _encoded(root, files[0]), tested, options, listener)

    listing = key_of_listing(root, [path for part in files for path, _ in part])
    key = f"{listing} {classes!r}"
    return through_cache(name, key, options, make)


def _splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits by name, and warn of folders that are no split."""
    if not root.is_dir():
        return {}
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir()}
    visible = {name: entry for name, entry in folders.items() if not _is_hidden(name)}
    splits = {name: visible.pop(name) for name in (TRAIN, *TEST_SPLITS) if name in visible}
    if TRAIN in splits:
        warn_of_unknown_splits(root, (f"{name}/" for name in visible))
    return splits


def _why_unusable(test: Path, classes: list[str]) -> str | None:
    """Return why a test folder cannot be used; None if it can be."""
    found = [entry.name for entry in test.iterdir() if entry.is_dir()]
    found = [name for name in found if not _is_hidden(name)]
    if not found:
        return "it has no class folders"
    if not set(found) & set(classes):
        return "none of its folders is a class of train"
    if all(name in classes for name in found) and not _images(test, classes):
        return "it has no images"
    return None


def _layout(root: Path) -> str:
    wanted = f"{root}/train/<class>/<image>, and the same in test/ or val/"
    if not root.is_dir():
        return f"{root} is neither a folder nor a parquet file: give a folder with {wanted}"
    inside = [entry for entry in root.iterdir() if entry.is_dir()]
    found = "has folders but no train/ among them" if inside else "has no class folders"
    return f"{root} {found}: arrange the images as {wanted}"


def _classes(folder: Path) -> list[str]:
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    classes = [name for name in found if not _is_hidden(name)]
    if not classes:
        raise BadData(f"{folder} has no classes: create a subfolder for each class")
    return classes


def _expect_known(classes: list[str], test: Path | None) -> None:
    for name in _classes(test) if test else []:
        if name not in classes:
            raise BadData(f"class {name!r} is in {test} but not in train: give it training images")


def _images(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    return [(path, label) for label, name in enumerate(classes) for path in _files(folder / name)]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and its subfolders, folder by folder."""
    for directory, names in sorted(_walk(folder)):
        for name in sorted(names):
            if not _is_hidden(name) and Path(name).suffix.lower() in _EXTENSIONS:
                yield Path(directory, name)


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and its subfolders, each with the names of its files.

    Symbolic links are followed, except to one of their own parent folders.
    """
    waiting = [(str(folder), os.path.realpath(folder), frozenset[str]())]
    while waiting:
        directory, here, above = waiting.pop()
        above |= {here}
        names = []
        for entry in _entries(directory):
            if not _is_folder(entry):
                names.append(entry.name)
            elif not _is_hidden(entry.name):
                target = os.path.realpath(entry.path)
                if target not in above and not Path(here).is_relative_to(target):
                    waiting.append((entry.path, target, above))
        yield directory, names


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []  # this split has no images of the class
    except OSError as error:
        raise BadData(
            f"cannot read {directory} ({error.strerror}): make it readable, or move it elsewhere"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself, which decoding will report


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _encoded(root: Path, images: list[tuple[Path, int]]) -> Encoded:
    def read(start: int, stop: int) -> list[Payload]:
        return [path for path, _ in images[start:stop]]

    def name(index: int) -> str:
        return str(images[index][0].relative_to(root))

    labels = torch.tensor([label for _, label in images], dtype=torch.int64)
    return Encoded(labels, read, name)
