"""`folder`: one folder per class, one PNG per image, as torchvision's ImageFolder reads them.

It writes ``<out>/<class name>/<index>.png`` and ``<out>/classes.json``. ImageFolder assigns labels
in the order of the folder names. If that order is not the bundle's, or two classes would share a
folder, each folder name starts with the label: ``07-horse``. Characters that some file systems
reject become ``_``. classes.json maps folders to classes.
"""

import contextlib
import json
import re
import shutil
import stat
from pathlib import Path

from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.output import check_name, check_parent, sibling_of
from hmnpack.schema.class_names import same_on_disk
from hmnpack.writers.base import Album, digits_of

INDEX = "classes.json"
_INVALID_CHARACTERS = re.compile(r'[<>:"|?*/\\\x00-\x1f]')
"""Characters that at least one common file system rejects in a file name."""
_IMAGE = re.compile(r"\d+\.png")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""File names that Windows reserves for devices."""


def write_folder(album: Album, out: Path, *, force: bool) -> None:
    """Write one folder per class.

    With ``force``, the output of an earlier run is replaced: its folders of numbered images. Other
    files in ``out`` are preserved.

    Raises:
        OutputExists: if ``out`` is a symbolic link or a file, or is not empty and ``force`` is not
            given. With ``force``, if ``out`` has a folder with the name of a class that hmnpack did
            not write, or one of hmnpack's folders contains other files than numbered images.
        BadSettings: if the folder cannot be written.
    """
    names = folder_names(album.classes)
    _check_output(out, names, force)
    new = sibling_of(out)
    try:
        new.mkdir()
        _fill(new, album, names)
        _put(new, out)
    except OSError as error:
        raise BadSettings(f"{out} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def folder_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return one folder name per class; sorted by name, they are in the order of the labels."""
    names = [_safe(name) for name in classes]
    unlike = len({same_on_disk(name) for name in names}) == len(names)
    if unlike and names == sorted(names) and INDEX not in names:
        return tuple(names)
    digits = digits_of(len(names))
    return tuple(f"{label:0{digits}d}-{name}" for label, name in enumerate(names))


def _safe(name: str) -> str:
    safe = _INVALID_CHARACTERS.sub("_", name).strip(". ") or "_"
    return safe + "_" if _DEVICES.fullmatch(safe) else safe


def _fill(folder: Path, album: Album, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).mkdir()
    digits = digits_of(album.largest)
    for label, index, image in album:
        image.save(folder / names[label] / f"{index:0{digits}d}.png", "PNG")
    index_of = {"classes": list(album.classes), "folders": list(names), "made_by": "hmnpack"}
    text = json.dumps(index_of, ensure_ascii=False, indent=1) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def _check_output(out: Path, names: tuple[str, ...], force: bool) -> None:
    check_name(out)
    if out.is_symlink():
        raise OutputExists(f"{out} is a symbolic link; name the folder that it leads to")
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file; name a folder")
    check_parent(out)
    present = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    if present and not force:
        raise OutputExists(f"{out} is not empty; name another folder, or use force (--force)")
    written = _written(out)
    foreign = present & {*names, INDEX} - written
    _expect_none(out, foreign | _foreign_within(out, present & written - {INDEX}))


def _expect_none(out: Path, foreign: set[str]) -> None:
    if foreign:
        raise OutputExists(
            f"{out} has {min(foreign)!r}, which hmnpack did not write; name another folder"
        )


def _foreign_within(out: Path, folders: set[str]) -> set[str]:
    """Return the entries of an earlier run's folders that cannot be images it wrote."""
    return {
        f"{name}/{entry.name}"
        for name in folders
        if (out / name).is_dir()
        for entry in (out / name).iterdir()
        if not _is_clutter(entry.name)
        if not _IMAGE.fullmatch(entry.name) or not entry.is_file()
    }


def _is_clutter(name: str) -> bool:
    """Return whether a file is one that file managers leave in the folders they show."""
    return name.startswith("._") or name in {".DS_Store", ".directory", "Thumbs.db", "desktop.ini"}


def _written(out: Path) -> set[str]:
    """Return the names that an earlier run wrote into a folder: those that its index lists."""
    try:
        index = json.loads((out / INDEX).read_text(encoding="utf-8"))
        if index["made_by"] != "hmnpack":
            return set()
        return {INDEX, *(name for name in index["folders"] if isinstance(name, str))}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return set()


def _put(new: Path, out: Path) -> None:
    """Move the new folder to the output path, and the other files of the old one into it.

    If a move fails, the moves before it are undone.
    """
    if not out.is_dir():
        new.rename(out)
        return
    written = _written(out)
    mode = out.stat().st_mode & 0o7777
    new.chmod(mode | stat.S_IRWXU)  # otherwise nothing could be moved into it
    old = sibling_of(out)
    foreign = [entry.name for entry in out.iterdir() if entry.name not in written]
    with contextlib.ExitStack() as undo:

        def move(source: Path, target: Path) -> None:
            source.rename(target)
            undo.callback(target.rename, source)

        move(out, old)
        move(new, out)
        for name in foreign:
            move(old / name, out / name)
        present = {entry.name for entry in old.iterdir()} - {INDEX}
        _expect_none(out, _foreign_within(old, present))  # put there since the first look
        undo.pop_all()
    out.chmod(mode)
    old.chmod(mode | stat.S_IRWXU)  # otherwise nothing could be removed from it
    shutil.rmtree(old, ignore_errors=True)
