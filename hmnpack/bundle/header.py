"""Parsing and validation of a `.hmn` file's header: bounded, with the standard library only.

A `.hmn` file is a safetensors file: 8 bytes (length of the header, little-endian), the header
(JSON), and the bytes of the tensors. FORMAT.md specifies the rules.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, BinaryIO, NoReturn

from hmnpack.bundle.faults import BadHeader, HeaderTooLarge, TrailingBytes, Truncated, quoted
from hmnpack.runtime.contents import mistaken_for
from hmnpack.schema.opaque import depth_of

MAX_HEADER = 2**20
"""Maximum length of the header, in bytes; enough for the names of tens of thousands of classes."""

MAX_DEPTH = 16
"""Maximum nesting depth of arrays and objects, in the header and in the manifest."""

MAX_TENSORS = 256
MAX_AXES = 8
MAX_SIZE = 2**31
LENGTH_BYTES = 8
METADATA = "__metadata__"
KEY = "hmn"


@dataclass(frozen=True)
class Entry:
    """Entry of one tensor in the header.

    Args:
        dtype: Element type, as named by safetensors.
        shape: Sizes of the axes.
        begin: Offset of the first byte from the end of the header.
        end: Offset after the last byte, likewise.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """Parsed header of a file.

    Args:
        text: The manifest, as JSON.
        entries: Tensor name -> entry, in file order.
        start: Offset of the tensors' bytes from the start of the file.
        size: Number of bytes of all tensors.
    """

    text: str
    entries: dict[str, Entry]
    start: int
    size: int


def read_header(file: BinaryIO, file_size: int | None) -> Header:
    """Read and validate the header, and check the length of the file against it.

    Args:
        file: The file, positioned at its start.
        file_size: Length of the file, in bytes; None: unknown and not checked.

    Raises:
        BadBundle: the subclass for the first rule that the file violates.
    """
    length = _length(file.read(LENGTH_BYTES), file_size)
    document = _document(file.read(length), length)
    text = _manifest_text(document.pop(METADATA, None))
    entries = _entries(document)
    start, size = LENGTH_BYTES + length, max(entry.end for entry in entries.values())
    if file_size is None:
        return Header(text, entries, start, size)
    if file_size < start + size:
        raise Truncated(f"has {file_size} bytes, but its header states {start + size}")
    if file_size > start + size:
        raise TrailingBytes(f"has {file_size - start - size} bytes after its last tensor")
    return Header(text, entries, start, size)


def strict_json(text: str) -> Any:  # noqa: ANN401
    """Parse JSON, rejecting duplicate keys, NaN, infinities (including 1e999) and deep nesting.

    Raises:
        ValueError: stating what is wrong.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    if depth_of(document, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    return document


def _length(prefix: bytes, file_size: int | None) -> int:
    if len(prefix) < LENGTH_BYTES:
        raise Truncated(f"is {'empty' if not prefix else f'only {len(prefix)} bytes long'}")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        found = mistaken_for(prefix)
        if found:
            raise HeaderTooLarge("{}: {}".format(*found).removeprefix("it "))
        raise HeaderTooLarge(
            f"states a header of {length} bytes, but {MAX_HEADER} is the maximum; is it a .hmn "
            "file?"
        )
    if file_size is not None and LENGTH_BYTES + length > file_size:
        raise Truncated(f"ends after {file_size} bytes, within its header of {length} bytes")
    return length


def _document(header: bytes, length: int) -> dict[str, Any]:
    if len(header) != length:
        raise Truncated(f"ends within its header of {length} bytes")
    if not header.startswith(b"{"):
        raise BadHeader("its header does not start with '{'; is it a .hmn file?")
    if header.rstrip(b" ").endswith((b"\t", b"\n", b"\r")):
        raise BadHeader("its header is padded with white space other than spaces")
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
        raise BadHeader(f"its metadata must have the single key {KEY!r}, not {quoted(found)}")
    text = metadata[KEY]
    if not isinstance(text, str):
        raise BadHeader(f"its metadata key {KEY!r} is not a string")
    return text


def _entries(document: dict[str, Any]) -> dict[str, Entry]:
    if not 1 <= len(document) <= MAX_TENSORS:
        raise BadHeader(f"has {len(document)} tensors, but 1 to {MAX_TENSORS} are allowed")
    entries = {name: _entry(name, value) for name, value in sorted(document.items())}
    ends = [0, *(entry.end for entry in entries.values())]
    for (name, entry), (expected, _) in zip(entries.items(), pairwise(ends), strict=True):
        if entry.begin != expected:
            raise BadHeader(
                f"tensor {quoted(name)} begins at byte {quoted(entry.begin)}, not at {expected}: "
                "tensors must be stored in the order of their names, without gaps"
            )
    return entries


def _entry(name: str, value: object) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise BadHeader(
            f"tensor {quoted(name)} must have exactly the keys dtype, shape and data_offsets"
        )
    shape, offsets = _naturals(value["shape"]), _naturals(value["data_offsets"])
    if not isinstance(value["dtype"], str) or shape is None or not 1 <= len(shape) <= MAX_AXES:
        raise BadHeader(f"tensor {quoted(name)} has an invalid dtype or shape")
    if not all(1 <= size <= MAX_SIZE for size in shape):
        raise BadHeader(
            f"tensor {quoted(name)} has the shape {quoted(list(shape))}, but sizes must be from 1 "
            f"to {MAX_SIZE}"
        )
    if offsets is None or len(offsets) != 2 or offsets[0] >= offsets[1]:
        raise BadHeader(
            f"tensor {quoted(name)} has the invalid offsets {quoted(value['data_offsets'])}"
        )
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
                raise ValueError(f"duplicate key {quoted(name)}")
            seen.add(name)
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{quoted(text)} overflows binary64")
    return number


def _one_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:200]
