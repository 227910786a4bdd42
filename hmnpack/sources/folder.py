"""Folders of image files in the ImageFolder layout: `[train/]<class>/<image>`."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.runtime.progress import Listener
from hmnpack.schema.skipped import LITTER, OUTSIDE, skipped_in_words
from hmnpack.sources.assemble import attempt, decode_source
from hmnpack.sources.cache import key_of_listing, through_cache
from hmnpack.sources.convention import (
    TEST_SPLITS,
    TRAIN,
    choose_test_split,
    name_of,
    warn_of_unknown_splits,
)
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.drawn import USUAL, with_drawn_test
from hmnpack.sources.formats import suffixes
from hmnpack.sources.listing import images_in, is_litter, recordable
from hmnpack.sources.types import Source, SourceOptions, source_path


def is_path(spec: str) -> bool:
    """Return whether a text is an existing path."""
    return bool(spec) and source_path(spec).exists()


def open_folder(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder with `train/` and a test split such as `test/` or `val/`, or of classes alone.

    Each split has one folder per class. A test split without labelled images is left out. From
    class folders that are in no split, a test split is drawn.

    Classes, and images within a class, are sorted by name, as in torchvision. Hidden files and
    folders, those of file browsers and servers, and files with the suffix of no supported format
    are left out and counted.

    Raises:
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    root = source_path(spec)
    splits = _splits(root)
    train = splits.get(TRAIN)
    if train is None:
        _expect_classes(root, splits)
        train = root
    classes = _classes(train)
    left_out = Counter[str]()
    files = _images(train, classes, left_out, all_needed=True)
    tested, problem = attempt(lambda: _tested(root, splits, classes, left_out))
    name = name_of(root)

    def make() -> Source:
        test = None if tested is None else lambda: _encoded(root, tested)
        return decode_source(name, classes, _encoded(root, files), test, options, listener)

    listing = key_of_listing(root, [path for path, _ in files + (tested or [])])
    source = through_cache(name, f"{listing} {classes!r}", options, make)
    source = replace(
        source,
        skipped=recordable({**left_out, **source.skipped}),
        test_problem=problem or source.test_problem,
    )
    is_default = train is root and options.test_split is None and _is_divisible(source.train.labels)
    return with_drawn_test(source, USUAL) if is_default else source


def _splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits by name, and warn of folders that are no split."""
    if not root.is_dir():
        return {}
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir()}
    visible = {name: entry for name, entry in folders.items() if not is_litter(name)}
    splits = {name: visible.pop(name) for name in (TRAIN, *TEST_SPLITS) if name in visible}
    if TRAIN in splits:
        warn_of_unknown_splits(root, (f"{name}/" for name in visible))
    return splits


def _tested(
    root: Path, splits: dict[str, Path], classes: list[str], left_out: Counter[str]
) -> list[tuple[Path, int]] | None:
    """Return the images of the test split with their labels; None if there is no such split."""
    name = choose_test_split(root, splits, lambda name: _why_unusable(splits[name], classes))
    if name is None:
        return None
    _expect_known(classes, splits[name])
    return _images(splits[name], classes, left_out)


def _why_unusable(test: Path, classes: list[str]) -> str | None:
    """Return why a test folder cannot be used; None if it can be."""
    found = [entry.name for entry in test.iterdir() if entry.is_dir()]
    found = [name for name in found if not is_litter(name)]
    if not found:
        return "it has no class folders"
    if not set(found) & set(classes):
        return "none of its folders is a class of train"
    # Up to the first class with images alone: a split is listed only once.
    has_images = any(images_in(test / name, Counter()) for name in classes)
    if set(found) <= set(classes) and not has_images:
        return "it has no images"
    return None


def _is_divisible(labels: Tensor) -> bool:
    """Return whether the usual test split of these images would have any."""
    return int(labels.bincount().max()) * USUAL.part >= 1


def _expect_classes(root: Path, splits: Mapping[str, Path]) -> None:
    """Check that a folder without `train/` is one of class folders, with images in each of them.

    Folders of other splits (`testing/cat/1.jpg`) would otherwise be taken for classes.
    """
    wanted = "train/<class>/<image>, and the same in test/ or val/, or <class>/<image>"
    if not root.is_dir():
        raise BadData(f"{root} is neither a folder nor a parquet file: give a folder with {wanted}")
    inside = sorted(entry for entry in root.iterdir() if entry.is_dir())
    folders = [entry for entry in inside if not is_litter(entry.name)]
    wrong = next((entry for entry in folders if not _holds_images(entry)), None)
    if folders and not splits and wrong is None:
        return
    found = "has no class folders"
    if folders:
        found = "has folders but no train/ among them" + (
            f", and no images directly in {wrong.name}/" if wrong and not splits else ""
        )
    raise BadData(f"{root} {found}: arrange the images in {root} as {wanted}")


def _holds_images(folder: Path) -> bool:
    """Return whether there is an image directly in a folder."""
    taken = suffixes()
    try:
        with os.scandir(folder) as entries:
            return any(Path(entry.name).suffix.lower() in taken for entry in entries)
    except OSError:
        return True  # listing it will report why


def _classes(folder: Path) -> list[str]:
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    classes = [name for name in found if not is_litter(name)]
    if not classes:
        raise BadData(f"{folder} has no classes: create a subfolder for each class")
    return classes


def _expect_known(classes: list[str], test: Path) -> None:
    for name in _classes(test):
        if name not in classes:
            raise BadData(f"class {name!r} is in {test} but not in train: give it training images")


def _images(
    folder: Path,
    classes: list[str],
    left_out: Counter[str],
    *,
    all_needed: bool = False,
) -> list[tuple[Path, int]]:
    """Return the images of a split with their labels, and count what else there is."""
    found = []
    for label, name in enumerate(classes):
        others = Counter[str]()
        images = images_in(folder / name, others)
        if all_needed:
            _expect_some(images, name, folder, others)
        found += [(path, label) for path in images]
        left_out.update(others)
    left_out.update(_outside(folder))
    return found


def _expect_some(images: list[Path], name: str, folder: Path, others: Counter[str]) -> None:
    """Check that a class is not empty merely because its files are of other kinds."""
    kinds = [skipped_in_words(*item) for item in recordable(others).items() if item[0] != LITTER]
    if kinds and not images:
        raise BadData(
            f"class {name!r} has no images in {folder.name} that can be read, but "
            f"{', '.join(kinds)}: convert them to PNG or JPEG, or install what reads them"
        )


def _outside(folder: Path) -> Counter[str]:
    """Return the numbers of files and folders of a split that are in no class."""
    counts = Counter[str]()
    for entry in folder.iterdir():
        if is_litter(entry.name):
            counts[LITTER] += 1
        elif not entry.is_dir():
            counts[OUTSIDE] += 1
    return counts


def _encoded(root: Path, images: list[tuple[Path, int]]) -> Encoded:
    def read(start: int, stop: int) -> list[Payload]:
        return [path for path, _ in images[start:stop]]

    def name(index: int) -> str:
        return str(images[index][0].relative_to(root))

    labels = torch.tensor([label for _, label in images], dtype=torch.int64)
    return Encoded(labels, read, name)
