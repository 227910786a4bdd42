"""Folders of image files in the ImageFolder layout: `[train/]<class>/<image>`."""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.runtime.progress import Listener
from hmnpack.schema.skipped import LITTER, UNLISTED, skipped_in_words
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
from hmnpack.sources.listing import folders_in, images_in, is_litter, outside, recordable
from hmnpack.sources.lists import folder_of, listed_splits, recorded_list
from hmnpack.sources.types import Source, SourceOptions, source_path

Labelled = list[tuple[Path, int]]
"""Files of images, each with its label."""


@dataclass
class _Contents:
    """What is found in a folder before an image is read.

    Attributes:
        root: The folder.
        classes: Class names, sorted.
        train: Images of the training split.
        test: Images of the test split; None: there is none.
        test_problem: Why the test split cannot be read, if so.
        divided: Whether the images are in splits: by folders or by lists.
        left_out: Numbers of other files and images, by reason.
    """

    root: Path
    classes: list[str]
    train: Labelled
    test: Labelled | None
    test_problem: BadData | None = None
    divided: bool = True
    left_out: Counter[str] = field(default_factory=Counter)


def is_divided(root: Path) -> bool:
    """Return whether a folder has folders of splits, so that no list divides it."""
    return any((root / name).is_dir() for name in (TRAIN, *TEST_SPLITS))


def open_folder(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder with `train/` and a test split such as `test/` or `val/`, or of classes alone.

    Each split has one folder per class. A test split without labelled images is left out. From
    class folders that are in no split, a test split is drawn, unless lists say what is in which.

    Classes, and images within a class, are sorted by name, as in torchvision. Hidden files and
    folders, those of file browsers and servers, and files with the suffix of no supported format
    are left out and counted.

    Raises:
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    root = source_path(spec)
    is_listed = options.train_list is not None or options.test_list is not None
    found = _listed(root, options) if is_listed else _in_folders(root, options.classes)
    source = replace(
        _opened(found, options, listener),
        train_list=recorded_list(root, options.train_list),
        test_list=recorded_list(root, options.test_list),
    )
    is_whole = not found.divided and options.test_split is None
    drawn = is_whole and _is_divisible(source.train.labels)
    return with_drawn_test(source, USUAL) if drawn else source


def _opened(found: _Contents, options: SourceOptions, listener: Listener) -> Source:
    """Return the dataset of the images that were found, from the cache if it has them."""
    root, name, test = found.root, name_of(found.root), found.test

    def make(folder: Path | None) -> Source:
        tested = None if test is None else lambda: _encoded(root, test)
        return decode_source(
            *(name, found.classes, _encoded(root, found.train), tested, options, listener),
            folder=folder,
        )

    # Without folders of splits, the paths do not say where the training split ends.
    listing = key_of_listing(root, [path for path, _ in found.train + (test or [])])
    source = through_cache(name, f"{listing} {len(found.train)} {found.classes!r}", options, make)
    return replace(
        source,
        skipped=recordable({**found.left_out, **source.skipped}),
        test_problem=found.test_problem or source.test_problem,
    )


def _in_folders(root: Path, chosen: Collection[str] | None) -> _Contents:
    """Return the images of the folders of splits; of class folders if there are none.

    Args:
        root: The folder.
        chosen: Classes that are needed; None: all.
    """
    splits = _splits(root)
    if TRAIN not in splits:
        _expect_classes(root, splits)
    folder = splits.get(TRAIN, root)
    classes, left_out = list(_classes(folder)), Counter[str]()
    train = _images(folder, classes, left_out, classes if chosen is None else chosen)
    test, problem = attempt(lambda: _tested(root, splits, classes, left_out, chosen))
    return _Contents(root, classes, train, test, problem, TRAIN in splits, left_out)


def _listed(root: Path, options: SourceOptions) -> _Contents:
    """Return the images of class folders by lists, and count those in no list."""
    if not root.is_dir() or is_divided(root):
        raise BadData(
            f"{root} is not a folder of class folders alone: lists divide only such a folder"
        )
    left_out = outside(root)
    folders = _classes(root)
    every = [path for folder in folders.values() for path in images_in(folder, left_out)]
    names = {folder.name: name for name, folder in folders.items()}
    train, test = listed_splits(root, names, every, options)

    def class_of(image: Path) -> str:
        return names[folder_of(root, image)]

    classes = {name: label for label, name in enumerate(sorted({class_of(p) for p in train}))}
    unknown = {path for path in test or () if class_of(path) not in classes}
    if unknown and options.classes is None:
        name = class_of(min(unknown))
        raise BadData(f"class {name!r} is in the list of test but has no image in train")
    unlisted = set(every) - set(train) - set(test or ())
    left_out.update({UNLISTED: len(unlisted)} if unlisted else {})

    def labelled(images: list[Path]) -> Labelled:
        return sorted(((path, classes[class_of(path)]) for path in images), key=_place)

    tested = None if test is None else labelled([path for path in test if path not in unknown])
    return _Contents(root, list(classes), labelled(train), tested, left_out=left_out)


def _place(image: tuple[Path, int]) -> tuple[int, Path]:
    return image[1], image[0]


def _splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits by name, and warn of folders that are no split."""
    if not root.is_dir():
        return {}
    folders = {entry.name: entry for entry in folders_in(root)}
    visible = {name: entry for name, entry in folders.items() if not is_litter(name)}
    splits = {name: visible.pop(name) for name in (TRAIN, *TEST_SPLITS) if name in visible}
    if TRAIN in splits:
        warn_of_unknown_splits(root, (f"{name}/" for name in visible))
    return splits


def _tested(
    root: Path,
    splits: dict[str, Path],
    classes: list[str],
    left_out: Counter[str],
    chosen: Collection[str] | None,
) -> Labelled | None:
    """Return the images of the test split with their labels; None if there is no such split."""
    name = choose_test_split(root, splits, lambda name: _why_unusable(splits[name], classes))
    if name is None:
        return None
    if chosen is None:
        _expect_known(classes, splits[name])
    return _images(splits[name], classes, left_out)


def _why_unusable(test: Path, classes: list[str]) -> str | None:
    """Return why a test folder cannot be used; None if it can be."""
    found = _class_folders(test, classes)
    if not found:
        return "it has no class folders"
    known = [found[name] for name in classes if name in found]
    if not known:
        return "none of its folders is a class of train"
    # Up to the first class with images alone: a split is listed only once.
    has_images = any(images_in(folder, Counter()) for folder in known)
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
    folders = [entry for entry in sorted(folders_in(root)) if not is_litter(entry.name)]
    wrong = next((entry for entry in folders if not _holds_images(entry)), None)
    if folders and not splits and wrong is None:
        return
    for entry in folders:
        if entry.name.lower() in (TRAIN, "training"):
            raise BadData(f"{root} has {entry.name}/ but no {TRAIN}/: rename it")
        if os.path.isdir(entry / TRAIN):  # noqa: PTH112 - no error where it may not be read
            raise BadData(f"{root} has no {TRAIN}/, but {entry} has: give that folder")
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


def _class_folders(split: Path, classes: Sequence[str] = ()) -> dict[str, Path]:
    """Return the class folders of a split by class name, sorted.

    Names are in Unicode's composed form: macOS writes an accent as a character of its own, so
    that one name may come from two systems as two. Two folders of one split that differ in the
    form alone are two classes, with their names as they are.

    Args:
        split: The folder of the split.
        classes: Classes of the training split; a folder that is named like one is that class.
    """
    entries = [entry for entry in folders_in(split) if not is_litter(entry.name)]
    composed = {entry: unicodedata.normalize("NFC", entry.name) for entry in entries}
    alike = Counter(composed.values())
    folders = {}
    for entry, name in composed.items():
        is_own = alike[name] > 1 or entry.name in classes
        folders[entry.name if is_own else name] = entry
    return dict(sorted(folders.items()))


def _classes(folder: Path, classes: Sequence[str] = ()) -> dict[str, Path]:
    """Return the class folders of a split, see `_class_folders`, of which it needs one."""
    folders = _class_folders(folder, classes)
    if not folders:
        raise BadData(f"{folder} has no classes: create a subfolder for each class")
    return folders


def _expect_known(classes: list[str], test: Path) -> None:
    for name in _classes(test, classes):
        if name not in classes:
            raise BadData(f"class {name!r} is in {test} but not in train: give it training images")


def _images(
    folder: Path,
    classes: list[str],
    left_out: Counter[str],
    needed: Collection[str] = (),
) -> Labelled:
    """Return the images of a split with their labels, and count what else there is.

    Args:
        folder: The folder of the split.
        classes: Class names; the index is the label.
        left_out: Counts of other files, added to.
        needed: Classes that must not be empty merely because their files are of other kinds.
    """
    found, folders = [], _class_folders(folder, classes)
    for label, name in enumerate(classes):
        others = Counter[str]()
        # A class that is no folder here, but a broken link for example, is reported by listing it.
        images = images_in(folders.get(name, folder / name), others)
        if name in needed:
            _expect_some(images, name, folder, others)
        found += [(path, label) for path in images]
        left_out.update(others)
    left_out.update(outside(folder))
    return found


def _expect_some(images: list[Path], name: str, folder: Path, others: Counter[str]) -> None:
    """Check that a class is not empty merely because its files are of other kinds."""
    kinds = [skipped_in_words(*item) for item in recordable(others).items() if item[0] != LITTER]
    if kinds and not images:
        raise BadData(
            f"class {name!r} has no images in {folder.name} that can be read, but "
            f"{', '.join(kinds)}: convert them to PNG or JPEG, or install what reads them"
        )


def _encoded(root: Path, images: Labelled) -> Encoded:
    def read(start: int, stop: int) -> list[Payload]:
        return [path for path, _ in images[start:stop]]

    def name(index: int) -> str:
        return str(images[index][0].relative_to(root))

    labels = torch.tensor([label for _, label in images], dtype=torch.int64)
    return Encoded(labels, read, name)
