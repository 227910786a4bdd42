"""The files of a folder, as a gallery shows them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hmnpack.bundle.faults import UnknownContainer
from hmnpack.bundle.read import inspect_and_size, read
from hmnpack.errors import BadBundle, BadSettings, one_line
from hmnpack.page.decoding import strip_of
from hmnpack.page.gallery import Strip
from hmnpack.schema.manifest import Manifest

SUFFIX = ".hmn"


@dataclass(frozen=True)
class Shelved:
    """A valid file.

    Attributes:
        name: Path of the file, relative to the folder.
        manifest: Its manifest.
        size: Its size, in bytes.
        strip: Some of its images; None if they cannot be shown.
        report: Relative address of its report page; None if there is none beside it.
    """

    name: str
    manifest: Manifest
    size: int
    strip: Strip | None = None
    report: str | None = None


@dataclass(frozen=True)
class Damaged:
    """A file that cannot be read.

    Attributes:
        name: Path of the file, relative to the folder.
        reason: What is wrong with it, on one line.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Shelf:
    """All files of a folder.

    Attributes:
        name: Name of the folder.
        files: Valid files, by dataset, classes, budget and name.
        damaged: The others, by name.
    """

    name: str
    files: tuple[Shelved, ...]
    damaged: tuple[Damaged, ...] = ()


def shelf_of(folder: Path, page: Path) -> Shelf:
    """Read every `.hmn` file in a folder and its subfolders; hidden ones are left out.

    Args:
        folder: The folder.
        page: Path of the page, which links to the reports from there.

    Raises:
        BadSettings: if the folder has no `.hmn` file.
    """
    found = [_shelved(path, folder, page) for path in _paths(folder)]
    if not found:
        raise BadSettings(f"{folder} has no {SUFFIX} file; name a folder with some")
    files = [one for one in found if isinstance(one, Shelved)]
    return Shelf(
        name=folder.resolve().name or str(folder),
        files=tuple(sorted(files, key=_place)),
        damaged=tuple(one for one in found if isinstance(one, Damaged)),
    )


def _paths(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_dir():
            yield path


def _place(file: Shelved) -> tuple[str, int, int, int, str]:
    manifest = file.manifest
    ipc, stored = manifest.nearest_ipc, manifest.ledger.bytes
    return manifest.source.name.casefold(), len(manifest.classes), ipc, stored, file.name


def _shelved(path: Path, folder: Path, page: Path) -> Shelved | Damaged:
    name, path = str(path.relative_to(folder)), path.absolute()  # a name may begin with `~`
    try:
        manifest, size = inspect_and_size(path, verify=True)
        return Shelved(name, manifest, size, _strip(path), _report(path, page))
    except BadBundle as error:
        return Damaged(name, str(error).removeprefix(f"{one_line(str(path))}: "))


def _strip(path: Path) -> Strip | None:
    """Return some images of a file; None if this version does not decode them."""
    try:
        return strip_of(read(path))
    except UnknownContainer:
        return None


def _report(path: Path, page: Path) -> str | None:
    """Return the relative address of the report beside a file."""
    report = path.with_suffix(".html")
    if not report.is_file() or report.resolve() == page.resolve():
        return None
    return quote(os.fsencode(os.path.relpath(report, page.parent)))
