"""Finding the Parquet files of a dataset, and the split of each.

A copy of a Hub repository has them in its folder `data`, in a folder of the configuration
(`plain_text/train-00000-of-00001.parquet`), or in folders of the configuration and of the split
(`default/train/0000.parquet`).
"""

from collections.abc import Sequence
from pathlib import Path

from hmnpack.errors import BadData
from hmnpack.sources.convention import TRAIN, split_in_name, warn_of_unknown_splits

_PARQUET = "*.[pP][aA][rR][qQ][uU][eE][tT]"
"""Pattern of file names, in capitals too, as for images."""


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet files of a path, sorted: the file itself, or those in the folder.

    If the folder has none, they are those of its folder `data`, else those one or two folders
    down. A folder of images has none, unless the name of a file says its split: tables of captions
    or labels often lie beside the folders of the splits.
    """
    if path.is_dir():
        found = _files_of(path) or _files_of(path / "data")
        return [] if _beside_images(path, found) else found or _nested(path)
    return [path] if path.suffix.lower() == ".parquet" else []


def parquet_splits(path: Path) -> dict[str, list[Path]]:
    """Return the Parquet files of each split; a single file is the training split.

    Files of no known split are left out with a warning.

    Raises:
        BadData: if there is no training split, or if the files are of several configurations.
    """
    files = parquet_files(path)
    if files == [path]:
        return {TRAIN: files}
    splits: dict[str, list[Path]] = {}
    unknown = []
    for file in files:
        name = _split_of(path, file)
        if name is None:
            unknown.append(str(file.relative_to(path)))
        else:
            splits.setdefault(name, []).append(file)
    if TRAIN not in splits:
        raise BadData(
            f"{path} has no training split: put train into the name of a file, or give the "
            "folder that also has the files of train"
        )
    _expect_one_configuration(path, [file for part in splits.values() for file in part])
    warn_of_unknown_splits(path, unknown)
    return splits


def _files_of(folder: Path, pattern: str = _PARQUET) -> list[Path]:
    """Return the matching files without hidden files and folders (macOS) and folders (Spark)."""
    return [
        path
        for path in sorted(folder.glob(pattern))
        if not path.is_dir()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _beside_images(root: Path, files: Sequence[Path]) -> bool:
    """Return whether a folder is one of images, and no file of it has the name of a split."""
    of_images = any(entry.is_dir() for entry in root.glob("train/[!.]*"))
    return of_images and not any(_split_of(root, file) for file in files)


def _nested(root: Path) -> list[Path]:
    """Return the files one or two folders down; none if no split is in their names."""
    found = [*_files_of(root, f"*/{_PARQUET}"), *_files_of(root, f"*/*/{_PARQUET}")]
    tables = [file for file in found if file.stem != "metadata"]  # captions of a folder of images
    return tables if any(_split_of(root, file) for file in tables) else []


def _split_of(root: Path, file: Path) -> str | None:
    """Return the split in the name of a file, else of the nearest folder, or None."""
    names = [file.stem, *reversed(file.relative_to(root).parent.parts)]
    return next((split for split in map(split_in_name, names) if split), None)


def _expect_one_configuration(root: Path, files: Sequence[Path]) -> None:
    """Check that files of known splits are in the same folders, apart from those of splits."""
    found = {
        "/".join(part for part in file.relative_to(root).parent.parts if not split_in_name(part))
        for file in files
    }
    if len(found) > 1:
        names = ", ".join(sorted(name or "." for name in found))
        raise BadData(
            f"{root} has the Parquet files of several datasets ({names}): give the folder of one, "
            f"such as {root / max(found)}"
        )
