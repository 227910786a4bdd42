"""Disk cache of decoded datasets; it may be deleted at any time.

Each dataset is one safetensors file of tensors, class names and fingerprints. Tensors are
memory-mapped, so opening a file reads no pixels until they are used.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hmnpack.errors import BadData
from hmnpack.sources.types import Source, SourceOptions, Split

_LAYOUT = "decoded/6"
"""Part of every key; increment it when decoding or the file layout changes."""

_TENSORS = ("images", "labels", "digests")
"""Tensors stored for a split, in canonical order, besides its fingerprint."""


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
    name: str, key: str, options: SourceOptions, make: Callable[[], Source]
) -> Source:
    """Return the dataset from the cache, or decode it and add it to the cache.

    An unreadable or unwritable cache is not an error. A dataset whose test split cannot be read is
    not cached.

    Args:
        name: Name of the dataset; not part of the cache key.
        key: Identity of the encoded files.
        options: Decoding options, which are part of the cache key, and the cache's location.
        make: Decodes the dataset on a cache miss.
    """
    identity = json.dumps([_LAYOUT, key, options.size, options.skip_bad])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    path = options.cache_root / "decoded" / f"{digest}.safetensors"
    found = _read(path)
    if found is None:
        found = make()
        if found.test_problem is not None:
            return found  # cached, it would seem to have no test split
        with contextlib.suppress(OSError, SafetensorError):
            _write(path, found)
            found = _read(path) or found  # memory-mapped, which frees the memory
    return replace(found, name=name)


def _read(path: Path) -> Source | None:
    """Return the cached dataset, or None if the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["source"])
            parts = {
                part: Split(
                    **{name: file.get_tensor(f"{part}.{name}") for name in _TENSORS},
                    fingerprint=fingerprint,
                )
                for part, fingerprint in facts["fingerprints"].items()
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


def _write(path: Path, source: Source) -> None:
    parts = {"train": source.train} | ({"test": source.test} if source.test else {})
    facts = {
        "classes": source.classes,
        "fingerprints": {part: split.fingerprint for part, split in parts.items()},
        "skipped": dict(source.skipped),
    }
    tensors: dict[str, torch.Tensor] = {}
    for part, split in parts.items():
        for name in _TENSORS:
            tensors[f"{part}.{name}"] = getattr(split, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the file and moved once complete, so that readers never see a partial file.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sibling = Path(folder, path.name)
        save_file(tensors, sibling, {"source": json.dumps(facts)})
        usual = Path(folder, "usual")
        usual.touch()  # save_file sets mode 0600; a shared cache needs the umask's mode
        sibling.chmod(usual.stat().st_mode)
        sibling.replace(path)
