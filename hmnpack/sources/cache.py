"""Decoded datasets on disk: a convenience that may be deleted at any time.

One safetensors file a dataset, with its class names and fingerprints beside the tensors. Tensors
are mapped, not read, so opening costs no more than the first use of each page.
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

_LAYOUT = "decoded/4"
"""Part of every key: to be raised when decoding, or the file's layout, changes."""

_TENSORS = ("images", "labels", "digests")
"""What is kept of a split, beside its fingerprint; it is in canonical order."""


def key_of_files(files: Iterable[Path]) -> str:
    """Return the sha256 over the names and bytes of files, in their order.

    Raises:
        BadData: if one cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadData(f"{path} cannot be read ({error.strerror or error})") from error
        digest.update(f"{path.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def key_of_listing(root: Path, files: Iterable[Path]) -> str:
    """Return the sha256 over place, identity, size and times of files, in their order.

    For folders of many files, whose bytes would take as long to hash as to decode. Files of equal
    size that change places have other numbers there, also where one time of change was set for all.
    """
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in files:
        line = f"{path.relative_to(root)}\0{_facts(path)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _facts(path: Path) -> str:
    """Return what tells a file from another, or from itself after a change; empty: it is lost."""
    try:
        found = path.stat()
    except OSError:
        return ""  # as decoding will say, or skip
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def through_cache(
    name: str, key: str, options: SourceOptions, make: Callable[[], Source]
) -> Source:
    """Return the dataset with this key from the cache, or make it and keep it there.

    A cache that cannot be read or written never stops the work.

    Args:
        name: Name of the dataset; it is not part of the key.
        key: Identity of the encoded files.
        options: The decoding options, which are part of the identity, and the cache's place.
        make: Decodes the dataset.
    """
    identity = json.dumps([_LAYOUT, key, options.size, options.skip_bad])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    path = options.cache_root / "decoded" / f"{digest}.safetensors"
    found = _read(path)
    if found is None:
        found = make()
        with contextlib.suppress(OSError, SafetensorError):
            _write(path, found)
    return replace(found, name=name)


def _read(path: Path) -> Source | None:
    """Return what the file holds, or None if it is absent or not whole."""
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
            skipped=facts["skipped"],
        )
    except (OSError, SafetensorError, LookupError, TypeError, ValueError):
        return None


def _write(path: Path, source: Source) -> None:
    parts = {"train": source.train} | ({"test": source.test} if source.test else {})
    facts = {
        "classes": source.classes,
        "fingerprints": {part: split.fingerprint for part, split in parts.items()},
        "skipped": source.skipped,
    }
    tensors: dict[str, torch.Tensor] = {}
    for part, split in parts.items():
        for name in _TENSORS:
            tensors[f"{part}.{name}"] = getattr(split, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The sibling takes the place of the file only when it is whole.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sibling = Path(folder, path.name)
        save_file(tensors, sibling, {"source": json.dumps(facts)})
        usual = Path(folder, "usual")
        usual.touch()  # save_file leaves 0600, where others share a cache by the umask
        sibling.chmod(usual.stat().st_mode)
        sibling.replace(path)
