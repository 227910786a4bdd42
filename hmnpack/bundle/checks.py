"""Validation of a file's manifest: canonical text, hash, rules, agreement with the header."""

import hashlib
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hmnpack.bundle.faults import (
    BadClassName,
    BadManifest,
    BadSize,
    Corrupted,
    LedgerMismatch,
    NotCanonical,
    OverBudget,
    UnknownContainer,
    UnknownLabels,
    UnknownVersion,
    quoted,
)
from hmnpack.bundle.header import Entry, Header, strict_json
from hmnpack.errors import BadBundle
from hmnpack.schema.base import MAX_INTEGER
from hmnpack.schema.container import CODINGS, OtherSpec
from hmnpack.schema.ledger import Ledger, TensorRow
from hmnpack.schema.manifest import FORMAT_VERSION, Manifest
from hmnpack.schema.opaque import canonical_json
from hmnpack.version import __version__

HASH = "manifest_sha256"
NO_HASH = "0" * 64

_FAULTS: dict[str, type[BadBundle]] = {
    "class_name": BadClassName,
    "ledger": LedgerMismatch,
    "opaque": BadSize,
    "over_budget": OverBudget,
    "too_large": BadSize,
}
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_long")


def manifest_text(manifest: Manifest) -> str:
    """Return the text of a manifest in a file: canonical JSON with a hash of itself."""
    text = canonical_json(manifest.document() | {HASH: NO_HASH})
    return text.replace(_member(NO_HASH), _member(_sha256(text)))


def manifest_of(header: Header) -> Manifest:
    """Return the manifest of a file after all checks that do not need the tensor bytes.

    Raises:
        BadBundle: the subclass for the first rule that the file violates.
    """
    manifest = parse_manifest(header.text)
    _same_tensors(manifest.ledger, header.entries)
    return manifest


def check_decoded(manifest: Manifest) -> None:
    """Check that this version can decode a file's images.

    Raises:
        UnknownContainer: if it does not know the container or the coding of its floats.
    """
    spec = manifest.container
    if not isinstance(spec, OtherSpec):
        return
    codings = CODINGS.get(spec.kind)
    what = f"container {spec.kind!r}" if codings is None else f"floats stored as {spec.dtype!r}"
    raise UnknownContainer(
        f"hmnpack {__version__} cannot decode {what}, only {' and '.join(codings or CODINGS)}; "
        "try a newer version"
    )


def parse_manifest(text: str) -> Manifest:
    """Parse a manifest. Checks the version first, then the form, the hash, and all other rules.

    Raises:
        BadBundle: the subclass for the first rule that the text violates.
    """
    try:
        text.encode()
        document = strict_json(text)
    except ValueError as error:
        raise BadManifest(f"manifest: not JSON ({ascii(str(error)[:200])[1:-1]})") from error
    if not isinstance(document, dict):
        raise BadManifest("manifest: not a JSON object")
    version = document.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise UnknownVersion(
            f"manifest: format version {quoted(version)}, but hmnpack {__version__} only reads "
            f"version {FORMAT_VERSION}; try a newer version of hmnpack"
        )
    _intact(text, document)
    try:
        manifest = Manifest.model_validate_json(canonical_json(document), strict=True)
    except ValidationError as error:
        raise _fault(error, document) from error
    _expect_int64(document, "")
    _as_written(document, manifest.document(), "")
    return manifest


def _as_written(document: object, written: object, place: str) -> None:
    """Check that a document has exactly the keys that a writer writes: no null, none missing."""
    if isinstance(document, list) and isinstance(written, list):
        for index, (found, expected) in enumerate(zip(document, written, strict=True)):
            _as_written(found, expected, f"{place}.{index}")
    if not (isinstance(document, dict) and isinstance(written, dict)):
        return
    for key in sorted(document.keys() ^ written.keys()):
        fault = "Field required" if key in written else "null is not allowed; omit the key"
        raise BadManifest(f"manifest key {_path(f'{place}.{key}')}: {fault}")
    for key, found in document.items():
        _as_written(found, written[key], f"{place}.{key}")


def _expect_int64(value: object, place: str) -> None:
    """Check that every integer fits into 64 bits."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _expect_int64(inner, f"{place}.{key}")
    elif isinstance(value, int) and not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        raise BadManifest(f"manifest key {_path(place)}: integer does not fit into 64 bits")


def _intact(text: str, document: dict[str, Any]) -> None:
    """Check the canonical form and the hash, and remove the hash from the document."""
    if canonical_json(document) != text:
        raise NotCanonical("manifest: not canonical JSON (sorted keys, no spaces)")
    digest = document.pop(HASH, None)
    if not isinstance(digest, str):
        fault = f"not a string: {quoted(digest)}" if digest is not None else "Field required"
        raise BadManifest(f"manifest key {HASH}: {fault}")
    if _sha256(text.replace(_member(digest), _member(NO_HASH))) != digest:
        raise Corrupted(f"manifest: does not match its {HASH}; the file is corrupted")


def _member(digest: str) -> str:
    # Quotes inside JSON strings are escaped, so this only matches the key itself.
    return f'"{HASH}":"{digest}"'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fault(error: ValidationError, document: dict[str, Any]) -> BadBundle:
    first, *more = error.errors(include_url=False)
    if first["type"] == "labels":
        return UnknownLabels(
            f"manifest: hmnpack {__version__} does not support labels of kind "
            f"{quoted(first['ctx']['kind'])}; try a newer version"
        )
    kind = _FAULTS.get(first["type"], BadManifest)
    if first["type"] in _OUT_OF_RANGE and first["loc"][0] == "container":
        kind = BadSize
    tail = f" (and {len(more)} more)" if more else ""
    return kind(f"manifest{_place(first)}: {_rule(first)}{tail}{_hint(first, document)}")


def _place(detail: ErrorDetails) -> str:
    keys = "".join(f".{part}" for part in detail["loc"])
    return f" key {_path(keys)}" if keys else ""


def _path(place: str) -> str:
    """Return a printable key path without the leading dot; keys are untrusted."""
    return quoted(place[1:])[1:-1]


def _rule(detail: ErrorDetails) -> str:
    rule = " ".join(detail["msg"].removeprefix("Value error, ").split())[:300]
    given = detail["input"]
    return rule if isinstance(given, dict | list | tuple) else f"{rule}, not {quoted(given)}"


def _hint(detail: ErrorDetails, document: dict[str, Any]) -> str:
    if detail["type"] != "extra_forbidden":
        return ""
    provenance = document.get("provenance")
    maker = provenance.get("hmnpack") if isinstance(provenance, dict) else None
    return f"; made by hmnpack {quoted(maker)}, this is {__version__}"


def _same_tensors(ledger: Ledger, entries: dict[str, Entry]) -> None:
    rows = {row.name: row for row in ledger.rows}
    for name in entries:
        if name not in rows:
            raise LedgerMismatch(f"tensor {quoted(name)} is stored but not in the ledger")
    for name, row in rows.items():
        if name not in entries:
            raise LedgerMismatch(f"tensor {quoted(name)} is in the ledger but not stored")
        _same_tensor(row, entries[name])


def _same_tensor(row: TensorRow, entry: Entry) -> None:
    dtype, shape = row.stored_as or (entry.dtype, entry.shape)
    if entry.dtype != dtype:
        raise LedgerMismatch(
            f"tensor {row.name!r} has type {quoted(entry.dtype)}, but {dtype} in the ledger"
        )
    if entry.shape != shape:
        raise LedgerMismatch(
            f"tensor {row.name!r} has shape {quoted(list(entry.shape))}, but {list(shape)} in the "
            "ledger"
        )
    if entry.end - entry.begin != row.bytes:
        raise LedgerMismatch(
            f"tensor {row.name!r} has {entry.end - entry.begin} bytes, but {row.bytes} in the "
            "ledger"
        )
