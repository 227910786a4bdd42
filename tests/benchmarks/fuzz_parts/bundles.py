"""Changed `.hmn` files: bytes, the header's JSON, the manifest's JSON with a correct hash."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

GOLDEN = Path(__file__).parents[2] / "golden"
NO_HASH = "0" * 64

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63)),
    *("", "x", "\x00", "\u202e", "\ud800", "[red]", "A" * 300, "\n", "nan", "0" * 64, "hmn/1"),
    *([], {}, [[]], [None], {"": 1}, [0] * 300, {"a": {"b": {"c": {}}}}),
)
"""Values that replace a value of a document."""


def make(draw: Random, folder: Path) -> tuple[Path, str]:
    """Write a changed file and return its path, and what was changed, to read."""
    source = draw.choice(sorted(GOLDEN.glob("*.hmn")))
    data = source.read_bytes()
    name, change = draw.choice(tuple(_CHANGES.items()))
    path = folder / "changed.hmn"
    path.write_bytes(change(draw, data))
    return path, f"{source.name}: {name}"


def _flipped(draw: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(draw.choice((40, len(data))))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(draw: Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def _spliced(draw: Random, data: bytes) -> bytes:
    begin, end = (draw.randrange(len(data)) for _ in range(2))
    return data[:begin] + draw.randbytes(draw.choice((0, 1, 8, 300))) + data[end:]


def _length(draw: Random, data: bytes) -> bytes:
    length = draw.choice((0, 1, 2, 2**20, 2**20 + 1, 2**31, 2**63, 2**64 - 1, len(data)))
    return length.to_bytes(8, "little") + data[8:]


def _header(draw: Random, data: bytes) -> bytes:
    """Change the header's JSON, apart from the manifest."""
    document, rest = _parts(data)
    for _ in range(draw.choice((1, 1, 2))):
        document = changed(draw, document)
    return _joined(_text(draw, document), rest)


def _manifest(draw: Random, data: bytes) -> bytes:
    """Change the manifest, and make its hash and canonical form right again."""
    document, rest = _parts(data)
    manifest = json.loads(document["__metadata__"]["hmn"])
    for _ in range(draw.choice((1, 1, 2, 3))):
        manifest = changed(draw, manifest)
    document["__metadata__"]["hmn"] = hashed(manifest)
    return _joined(_text(draw, document), rest)


def _numbers(draw: Random, data: bytes) -> bytes:
    """Change one number of the manifest to another that may be allowed."""
    document, rest = _parts(data)
    manifest = json.loads(document["__metadata__"]["hmn"])
    places = [place for place in _places(manifest) if type(_at(manifest, place)) in (int, float)]
    place = draw.choice(places)
    value = _at(manifest, place)
    put = draw.choice((value + 1, value * 2, value - 1, -value, value * 1e6, 2**31, 2**40, 0))
    document["__metadata__"]["hmn"] = hashed(_with(manifest, place, put))
    return _joined(json.dumps(document, separators=(",", ":")), rest)


def _values(draw: Random, data: bytes) -> bytes:
    """Change stored bytes, and make all hashes right again."""
    document, rest = _parts(data)
    manifest = json.loads(document["__metadata__"]["hmn"])
    stored = bytearray(rest)
    for _ in range(draw.choice((1, 4, len(stored)))):
        stored[draw.randrange(len(stored))] = draw.choice((0, 255, 127, draw.randrange(256)))
    manifest["data_sha256"] = hashlib.sha256(stored).hexdigest()
    document["__metadata__"]["hmn"] = hashed(manifest)
    return _joined(json.dumps(document, separators=(",", ":")), bytes(stored))


def _nested(draw: Random, data: bytes) -> bytes:
    depth = draw.choice((15, 17, 900, 100_000))
    text = draw.choice(('{"a":' * depth + "1" + "}" * depth, "{" + '"a":[' + "[" * depth))
    return _joined(text, data[-100:])


_CHANGES: dict[str, Callable[[Random, bytes], bytes]] = {
    "bits": _flipped,
    "cut": _cut,
    "bytes": _spliced,
    "length": _length,
    "header": _header,
    "manifest": _manifest,
    "numbers": _numbers,
    "values": _values,
    "nesting": _nested,
}


def changed(draw: Random, document: Any) -> Any:
    """Return a document in which one value is dropped, replaced, renamed or doubled."""
    places = _places(document)
    place = draw.choice(places) if places else ()
    if not place:
        return draw.choice(_ODD)
    copy = json.loads(json.dumps(document))
    holder, key = _at(copy, place[:-1]), place[-1]
    kind = draw.choice(("drop", "replace", "replace", "rename", "swap"))
    if kind == "drop":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[draw.choice(("x", "", key.upper(), key + " ", "\u202e"))] = holder.pop(key)
    elif kind == "swap":
        holder[key] = json.loads(json.dumps(_at(copy, draw.choice(places))))
    else:
        holder[key] = draw.choice(_ODD)
    return copy


def hashed(manifest: Any) -> str:
    """Return a manifest as text, with its own hash if it is an object."""
    if not isinstance(manifest, dict):
        return _canonical(manifest)
    plain = _canonical(manifest | {"manifest_sha256": NO_HASH})
    digest = hashlib.sha256(plain.encode(errors="replace")).hexdigest()
    return _canonical(manifest | {"manifest_sha256": digest})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(draw: Random, document: Any) -> str:
    """Return a document as JSON, perhaps with a key twice."""
    text = json.dumps(document, separators=(",", ":"))
    if draw.random() < 0.1 and isinstance(document, dict) and document:
        key = draw.choice(tuple(document))
        text = f"{text[:-1]},{json.dumps(key)}:{json.dumps(document[key])}}}"
    return text


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _joined(header: str, rest: bytes) -> bytes:
    text = header.encode()
    return len(text).to_bytes(8, "little") + text + rest


def _places(document: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all values below a document, by keys and indices."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    found = []
    for key, value in items:
        found += [(*place, key), *_places(value, (*place, key))]
    return found


def _at(document: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


def _with(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    _at(document, place[:-1])[place[-1]] = value
    return document
