"""Reading a `.hmn` file: structure first, then the hash of the bytes, then the values."""

import hashlib
from math import prod
from typing import TYPE_CHECKING, BinaryIO

from hmnpack.bundle.bundle import Bundle, check_finite
from hmnpack.bundle.checks import check_decoded, manifest_of
from hmnpack.bundle.faults import Corrupted, Truncated, naming
from hmnpack.bundle.header import Header, read_header
from hmnpack.bundle.opened import AnyFile, name_of_file, opened
from hmnpack.schema.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**20


def inspect(path: AnyFile, verify: bool = False) -> Manifest:
    """Return a file's manifest, without torch and without reading the tensors.

    The header, the manifest's rules and hash, the ledger and the budget are always checked, even
    if this version cannot decode the images.

    Args:
        path: The `.hmn` file: its path, ``hf://owner/name/file.hmn``, a binary file object, or its
            content.
        verify: Also read the tensors' bytes and check their sha256 (but not for finite values).

    Example:
        >>> manifest = inspect("examples/bundles/digits.hmn")
        >>> manifest.source.name, manifest.budget.ipc, len(manifest.classes)
        ('digits', 1, 10)

    Raises:
        BadBundle: naming the path and the rule that the file violates.
    """
    return inspect_and_size(path, verify)[0]


def inspect_and_size(path: AnyFile, verify: bool = False) -> tuple[Manifest, int]:
    """Return a file's manifest and its size in bytes; see :func:`inspect`."""
    with naming(name_of_file(path)), opened(path) as (file, size):
        return checked(file, size, verify), size


def checked(file: BinaryIO, size: int, verify: bool) -> Manifest:
    """Return the manifest of an opened file; see :func:`inspect`.

    Args:
        file: The file, at its start.
        size: Its size in bytes.
        verify: Also read the tensors' bytes and check their sha256.
    """
    header = read_header(file, size)
    manifest = manifest_of(header)
    if verify:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        _compare(digest.hexdigest(), manifest)
    return manifest


def read(path: AnyFile) -> Bundle:
    """Return a bundle, after checking every rule of FORMAT.md.

    Args:
        path: The `.hmn` file; see :func:`inspect`.

    Raises:
        BadBundle: naming the path and the rule that the file violates.
    """
    # Imported here because reading a manifest works without torch.
    from hmnpack.runtime.torch_state import torch_defaults  # noqa: PLC0415

    with torch_defaults(), naming(name_of_file(path)), opened(path) as (file, size):
        header = read_header(file, size)
        manifest = manifest_of(header)
        check_decoded(manifest)
        data = bytearray(header.size)
        if file.readinto(data) != header.size:  # type: ignore[attr-defined]
            raise Truncated("was truncated while it was being read")
        _compare(hashlib.sha256(data).hexdigest(), manifest)
        tensors = _tensors(header, data)
        check_finite(tensors)
        return Bundle(manifest, tensors)


def _compare(digest: str, manifest: Manifest) -> None:
    if digest != manifest.data_sha256:
        raise Corrupted(
            "the tensors do not match the manifest's data_sha256: the file is corrupted; get it "
            "again"
        )


def _tensors(header: Header, data: bytearray) -> "dict[str, Tensor]":
    # Imported here because reading a manifest works without torch.
    import torch  # noqa: PLC0415

    from hmnpack.container.stored import DTYPES  # noqa: PLC0415

    return {
        name: torch.frombuffer(
            data, dtype=DTYPES[entry.dtype], count=prod(entry.shape), offset=entry.begin
        )
        .reshape(entry.shape)
        .clone()
        for name, entry in header.entries.items()
    }
