"""The header of a `.hmn`: parsed by the standard library, bounded, before anything else is read.

A `.hmn` is a safetensors file: 8 bytes (length of the header, little-endian), the header (JSON),
the tensors' bytes. FORMAT.md has the rules; each is one function here.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, BinaryIO, NoReturn

from hmnpack.bundle.faults import BadHeader, HeaderTooLarge, TrailingBytes, Truncated, quoted
from hmnpack.schema.opaque import depth_of

MAX_HEADER = 2**20
"""Longest header, in bytes: enough for the names of tens of thousands of classes."""

MAX_DEPTH = 16
"""Deepest nesting of arrays and objects in either JSON document."""

MAX_TENSORS = 256
MAX_AXES = 8
MAX_SIZE = 2**31
LENGTH_BYTES = 8
METADATA = "__metadata__"
KEY = "hmn"


@dataclass(frozen=True)
class Entry:
    """One tensor of the header: what the file says is stored.

    Args:
        dtype: Element type by its safetensors name.
        shape: Sizes of the axes.
        begin: First byte, counted from the end of the header.
        end: Byte after the last.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What the first bytes of a file say about the rest.

    Args:
        text: The manifest, as JSON.
        entries: Stored tensors by name, in the order of their bytes.
        start: Where the tensors' bytes begin, counted from the start of the file.
        size: Number of the tensors' bytes.
    """

    text: str
    entries: dict[str, Entry]
    start: int
    size: int


def read_header(file: BinaryIO, file_size: int) -> Header:
    """Read and check the header, and that the file ends where the header says.

    Args:
        file: The file, at its start.
        file_size: Its length, in bytes.

    Raises:
        BadBundle: the subclass of the first rule that the file breaks.
    """
    length = _length(file.read(LENGTH_BYTES), file_size)
    document = _document(file.read(length), length)
    text = _manifest_text(document.pop(METADATA, None))
    entries = _entries(document)
    start, size = LENGTH_BYTES + length, max(entry.end for entry in entries.values())
    if file_size < start + size:
        raise Truncated(f"ends after {file_size} bytes, its header says {start + size}")
    if file_size > start + size:
        raise TrailingBytes(f"has {file_size - start - size} bytes after its last tensor")
    return Header(text, entries, start, size)


def strict_json(text: str) -> Any:  # noqa: ANN401
    """Parse JSON, refusing duplicate keys, NaN and infinities (also 1e999), and deep nesting.

    Raises:
        ValueError: naming what is wrong.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    if depth_of(document, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return document


def _length(prefix: bytes, file_size: int) -> int:
    if len(prefix) < LENGTH_BYTES:
        raise Truncated(f"is {'empty' if not prefix else f'only {len(prefix)} bytes long'}")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise HeaderTooLarge(
            f"announces a header of {length} bytes, of {MAX_HEADER} at most: is it a .hmn at all?"
        )
    if LENGTH_BYTES + length > file_size:
        raise Truncated(f"ends after {file_size} bytes, within its header of {length}")
    return length


def _document(header: bytes, length: int) -> dict[str, Any]:
    if len(header) != length:
        raise Truncated(f"ends within its header of {length} bytes")
    if not header.startswith(b"{"):
        raise BadHeader("its header does not start with '{': is it a .hmn at all?")
    if header.rstrip(b" ").endswith((b"\t", b"\n", b"\r")):
        raise BadHeader("its header ends in white space that is no space")
    try:
        document = strict_json(header.decode())
    except ValueError as error:
        raise BadHeader(f"its header is not JSON ({_one_line(error)})") from error
    if not isinstance(document, dict):
        raise BadHeader("its header is not a JSON object")
    return document


def _manifest_text(metadata: object) -> str:
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        found = sorted(metadata) if isinstance(metadata, dict) else "nothing"
        raise BadHeader(f"its metadata must have the one key {KEY!r}, not {quoted(found)}")
    text = metadata[KEY]
    if not isinstance(text, str):
        raise BadHeader(f"its metadata key {KEY!r} is not a string")
    return text


def _entries(document: dict[str, Any]) -> dict[str, Entry]:
    if not 1 <= len(document) <= MAX_TENSORS:
        raise BadHeader(f"holds {len(document)} tensors, 1 to {MAX_TENSORS} are read")
    entries = {name: _entry(name, value) for name, value in sorted(document.items())}
    ends = [0, *(entry.end for entry in entries.values())]
    for (name, entry), (expected, _) in zip(entries.items(), pairwise(ends), strict=True):
        if entry.begin != expected:
            raise BadHeader(
                f"tensor {quoted(name)} begins at byte {quoted(entry.begin)}, not at {expected}: "
                "tensors lie in the order of their names, without holes"
            )
    return entries


def _entry(name: str, value: object) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise BadHeader(f"tensor {quoted(name)} needs dtype, shape and data_offsets, no more")
    shape, offsets = _naturals(value["shape"]), _naturals(value["data_offsets"])
    if not isinstance(value["dtype"], str) or shape is None or not 1 <= len(shape) <= MAX_AXES:
        raise BadHeader(f"tensor {quoted(name)} has no proper dtype or shape")
    if not all(1 <= size <= MAX_SIZE for size in shape):
        raise BadHeader(
            f"tensor {quoted(name)} has the shape {quoted(list(shape))}, not sizes from 1 to "
            f"{MAX_SIZE}"
        )
    if offsets is None or len(offsets) != 2 or offsets[0] >= offsets[1]:
        raise BadHeader(f"tensor {quoted(name)} has the offsets {quoted(value['data_offsets'])}")
    return Entry(value["dtype"], shape, *offsets)


def _naturals(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    plain = all(type(number) is int and 0 <= number < 2**63 for number in value)
    return tuple(value) if plain else None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"key {quoted(name)} stands twice")
            seen.add(name)
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{quoted(text)} is more than a number can be")
    return number


def _one_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:200]
