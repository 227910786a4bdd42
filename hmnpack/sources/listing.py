"""The image files below a folder, and the number of files that are left out, by reason."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from hmnpack.errors import BadData
from hmnpack.schema.skipped import (
    LITTER,
    MOST_REASONS,
    NO_SUFFIX,
    OTHER,
    OUTSIDE,
    UNLISTED,
    UNREADABLE,
)
from hmnpack.sources.formats import suffixes

_LITTER = re.compile(
    r"\..*|~\$.*|syno(file|photo)_.*|@eadir|@tmp|@recycle|@recently-snapshot|#recycle|#snapshot"
    r"|~snapshot|\$recycle\.bin|recycler|system volume information|lost\+found|__macosx"
    r"|__pycache__|thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|icon\r|network trash folder"
    r"|temporary items",
    re.IGNORECASE | re.DOTALL,
)
"""Names that file browsers, file servers and archivers give their own files and folders."""

_REASON = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""What a manifest takes as a reason."""


def is_litter(name: str) -> bool:
    """Return whether a file or folder is hidden, or kept by another program for itself."""
    return _LITTER.fullmatch(name) is not None


def images_in(folder: Path, left_out: Counter[str]) -> list[Path]:
    """Return the images in a folder and its subfolders, folder by folder.

    Args:
        folder: The folder of a class; it need not exist.
        left_out: The numbers of other files, by reason; those of this folder are added.

    Raises:
        BadData: if a folder cannot be read.
    """
    taken, found = suffixes(), []
    for directory, names in sorted(_walk(folder, left_out)):
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if is_litter(name):
                left_out[LITTER] += 1
            elif suffix in taken:
                found.append(Path(directory, name))
            else:
                left_out[_reason(suffix)] += 1
    return found


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, in no order; none if it does not exist.

    Raises:
        BadData: if the folder cannot be read.
    """
    return [Path(entry.path) for entry in _entries(str(folder)) if _is_folder(entry)]


def outside(folder: Path) -> Counter[str]:
    """Return the numbers of files and folders of a split that are in no class, by reason.

    Raises:
        BadData: if the folder cannot be read.
    """
    counts = Counter[str]()
    for entry in _entries(str(folder)):
        if is_litter(entry.name):
            counts[LITTER] += 1
        elif not _is_folder(entry):
            counts[OUTSIDE] += 1
    return counts


def recordable(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, the most frequent ones by name and the rest as `other`."""
    ranked = sorted(counts.items(), key=lambda item: (item[0] != UNREADABLE, -item[1], item[0]))
    kept = dict(ranked[: MOST_REASONS - 1])
    rest = sum(number for _, number in ranked[MOST_REASONS - 1 :])
    return kept | ({OTHER: kept.get(OTHER, 0) + rest} if rest else {})


def _reason(suffix: str) -> str:
    if suffix in ("", "."):
        return NO_SUFFIX
    reason = suffix[1:]
    return reason if _REASON.fullmatch(reason) and reason not in _RESERVED else OTHER


_RESERVED = (UNREADABLE, LITTER, NO_SUFFIX, OUTSIDE, UNLISTED)
"""Reasons that are no suffixes."""


def _walk(folder: Path, left_out: Counter[str]) -> Iterator[tuple[str, list[str]]]:
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
            elif is_litter(entry.name):
                left_out[LITTER] += 1
            else:
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
