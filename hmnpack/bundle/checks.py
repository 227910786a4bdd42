"""The manifest of a file: its text, its hash, its rules, and its agreement with the header."""

import hashlib
import json
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
    UnknownVersion,
    quoted,
)
from hmnpack.bundle.header import Entry, Header, strict_json
from hmnpack.errors import BadBundle
from hmnpack.schema.base import MAX_INTEGER
from hmnpack.schema.ledger import Ledger, TensorRow
from hmnpack.schema.manifest import FORMAT_VERSION, Manifest
from hmnpack.version import __version__

HASH = "manifest_sha256"
NO_HASH = "0" * 64

_FAULTS: dict[str, type[BadBundle]] = {
    "class_name": BadClassName,
    "ledger": LedgerMismatch,
    "over_budget": OverBudget,
    "too_large": BadSize,
    "union_tag_invalid": UnknownContainer,
}
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_long")


def canonical_json(document: dict[str, Any]) -> str:
    """Return JSON with sorted keys, no spaces, and only those escapes that JSON demands."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def manifest_text(manifest: Manifest) -> str:
    """Return the manifest as it stands in a file: canonical JSON with a hash of itself."""
    text = canonical_json(manifest.model_dump(mode="json") | {HASH: NO_HASH})
    return text.replace(_member(NO_HASH), _member(_sha256(text)))


def manifest_of(header: Header) -> Manifest:
    """Return the manifest of a file, after every check that needs no tensor bytes.

    Raises:
        BadBundle: the subclass of the first rule that the file breaks.
    """
    manifest = parse_manifest(header.text)
    _same_tensors(manifest.ledger, header.entries)
    return manifest


def parse_manifest(text: str) -> Manifest:
    """Return the manifest of a text: version first, then its form, its hash, and its rules.

    Raises:
        BadBundle: the subclass of the first rule that the text breaks.
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
            f"manifest: format version {quoted(version)}, hmnpack {__version__} reads "
            f"{FORMAT_VERSION}: a newer one may read it"
        )
    _intact(text, document)
    try:
        manifest = Manifest.model_validate_json(canonical_json(document), strict=True)
    except ValidationError as error:
        raise _fault(error, document) from error
    _expect_int64(document, "")
    return manifest


def _expect_int64(value: object, place: str) -> None:
    """Check that no integer is too large to be computed with."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _expect_int64(inner, f"{place}.{key}")
    elif isinstance(value, int) and not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        raise BadManifest(f"manifest key {place[1:]}: an integer of more than 64 bits")


def _intact(text: str, document: dict[str, Any]) -> None:
    """Check the form and the hash, and take the hash out of the document."""
    if canonical_json(document) != text:
        raise NotCanonical("manifest: not canonical JSON (keys sorted, no spaces)")
    digest = document.pop(HASH, None)
    if not isinstance(digest, str):
        fault = f"not a string, but {quoted(digest)}" if digest is not None else "Field required"
        raise BadManifest(f"manifest key {HASH}: {fault}")
    if _sha256(text.replace(_member(digest), _member(NO_HASH))) != digest:
        raise Corrupted(f"manifest: does not match its {HASH}; bits of it have changed")


def _member(digest: str) -> str:
    # A quote within a JSON string is escaped, so this can only be the key itself.
    return f'"{HASH}":"{digest}"'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fault(error: ValidationError, document: dict[str, Any]) -> BadBundle:
    first, *more = error.errors(include_url=False)
    kind = _FAULTS.get(first["type"], BadManifest)
    if first["type"] in _OUT_OF_RANGE and first["loc"][0] == "container":
        kind = BadSize
    tail = f" (and {len(more)} more)" if more else ""
    return kind(f"manifest{_place(first)}: {_rule(first)}{tail}{_hint(first, document)}")


def _place(detail: ErrorDetails) -> str:
    keys = ".".join(str(part) for part in detail["loc"])
    return f" key {quoted(keys)[1:-1]}" if keys else ""


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
            raise LedgerMismatch(f"tensor {quoted(name)} is stored, but not in the ledger")
    for name, row in rows.items():
        if name not in entries:
            raise LedgerMismatch(f"tensor {quoted(name)} is in the ledger, but not stored")
        _same_tensor(row, entries[name])


def _same_tensor(row: TensorRow, entry: Entry) -> None:
    if entry.dtype != row.dtype:
        raise LedgerMismatch(
            f"tensor {row.name!r} is stored as {quoted(entry.dtype)}, the ledger says {row.dtype}"
        )
    if entry.shape != row.shape:
        raise LedgerMismatch(
            f"tensor {row.name!r} is stored as {quoted(list(entry.shape))}, the ledger says "
            f"{list(row.shape)}"
        )
    if entry.end - entry.begin != row.bytes:
        raise LedgerMismatch(
            f"tensor {row.name!r} is stored in {entry.end - entry.begin} bytes, the ledger says "
            f"{row.bytes}"
        )
