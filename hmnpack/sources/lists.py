"""Text lists of the images of a split: one path a line, below a folder of class folders."""

import os
import stat
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from hmnpack.errors import BadData
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.sources.types import SourceOptions

Listed = dict[Path, str]
"""File of an image -> the line that lists it, for messages."""

_LONGEST = 2**30
"""Maximum bytes of a list."""


def listed_splits(
    root: Path, folders: Collection[str], every: Sequence[Path], options: SourceOptions
) -> tuple[list[Path], list[Path] | None]:
    """Return the images of the training and of the test split by their lists.

    Without a list of the training split it is the images that the other does not list; without a
    list of the test split there is none.

    Args:
        root: Folder of class folders.
        folders: Names of these.
        every: The images in them.
        options: The lists.

    Raises:
        BadData: if a list is invalid, or an image is in both.
    """
    train, test = (
        None if given is None else _read(root, folders, path_of(given))
        for given in (options.train_list, options.test_list)
    )
    both = [path for path in test or () if train and path in train]
    if train and test and both:
        raise BadData(
            f"{both[0]} is in both lists ({train[both[0]]}, {test[both[0]]}), one of {len(both):,} "
            "such images: remove them from one list"
        )
    rest = [path for path in every if path not in (test or {})]
    return rest if train is None else list(train), None if test is None else list(test)


def folder_of(root: Path, image: Path) -> str:
    """Return the name of the class folder of an image."""
    return image.relative_to(root).parts[0]


def recorded_list(root: Path, given: AnyPath | None) -> str | None:
    """Return what a file records of a list: its path relative to the data."""
    if given is None:
        return None
    path = Path(os.path.relpath(path_of(given).resolve(), root.resolve())).as_posix()
    return path.encode(errors="replace").decode()


def _read(root: Path, folders: Collection[str], file: Path) -> Listed:
    """Return the images of a list.

    Each line is a path that begins with the name of a class folder, and perhaps a space and a
    label number after it. The numbers do not order the classes, but each must stand for one.
    Empty lines are passed over.
    """
    lines = _lines_of(file)
    found: Listed = {}
    labels = set()
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"line {number} of {file}"
            path, label = _image(root, line.strip(), where)
            if folder_of(root, path) not in folders:
                raise BadData(f"{where} lists {path}, which is in no class folder: remove the line")
            if path in found:
                raise BadData(f"{where} lists {path} again, after {found[path]}: remove one")
            found[path] = where
            if label is not None:
                labels.add((folder_of(root, path), label))
    if not found:
        raise BadData(f"the list {file} is empty: give one path a line")
    _expect_one_label_each(file, labels)
    return found


def _lines_of(file: Path) -> list[str]:
    """Return the lines of a list; its path may come from a file that nobody vouches for."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            reason = "it is not a regular file"
        elif facts.st_size > _LONGEST:
            reason = f"it is larger than {_LONGEST >> 20} MiB"
        else:
            return file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except OSError as error:
        reason = error.strerror or str(error)
    raise BadData(f"cannot read the list {file} ({reason}): give a text file with one path a line")


def _image(root: Path, line: str, where: str) -> tuple[Path, str | None]:
    """Return the file and the label number of a line; a path may itself have spaces."""
    name, *rest = line.rsplit(maxsplit=1)
    label = rest[0] if rest and rest[0].isdecimal() and not (root / line).is_file() else None
    parts = PurePosixPath(line if label is None else name).parts
    if len(parts) < 2 or parts[0] == "/" or ".." in parts:
        raise BadData(f"{where} is {line!r}: give <class>/<image>, relative to {root}")
    path = root.joinpath(*parts)
    if not path.is_file():
        raise BadData(f"{where} lists {path}, which does not exist: correct the list")
    return path, label


def _expect_one_label_each(file: Path, pairs: Iterable[tuple[str, str]]) -> None:
    classes: dict[str, str] = {}
    for name, label in sorted(pairs):
        if classes.setdefault(label, name) != name:
            raise BadData(
                f"label {label} in {file} stands for {classes[label]!r} and for {name!r}: give the "
                "images of each class folder a label of their own, or none"
            )
