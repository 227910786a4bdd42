"""Forged files: a valid bundle with one part changed and all hashes recomputed."""

import hashlib
import json
import struct

import pytest
import torch

from hmnpack.bundle import inspect, read

NO_HASH = "0" * 64


def split(data):
    """Return (header document, manifest document, tensor bytes) of a bundle's bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["hmn"]), data[8 + length :]


def join(header, manifest, tensors):
    """Return the bytes of a file; a manifest given as text is not changed."""
    if not isinstance(manifest, str):
        manifest = sealed(manifest)
    header = header | {"__metadata__": {"hmn": manifest}}
    return framed(json.dumps(header).encode(), tensors)


def framed(header, tensors):
    return struct.pack("<Q", len(header)) + header + tensors


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sealed(manifest):
    text = canonical(manifest | {"manifest_sha256": NO_HASH})
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    key = '"manifest_sha256":"'
    return text.replace(key + NO_HASH, key + digest)


@pytest.fixture
def whole(hmn_bundle):
    return hmn_bundle.to_bytes()


@pytest.fixture
def forge(whole):
    """Return a function that applies change(header, manifest) in place and returns the bytes."""

    def forged(change, data=whole):
        header, manifest, tensors = split(data)
        change(header, manifest)
        return join(header, manifest, tensors)

    return forged


@pytest.fixture
def rejected(tmp_path, monkeypatch):
    """Return a function that asserts that bytes are rejected before any tensor is created."""

    def no_tensor(*args, **kwargs):
        raise AssertionError("memory of a tensor was allocated")

    def check(data, fault, match, before_tensors=True):
        path = tmp_path / "bad.hmn"
        path.write_bytes(data)
        with monkeypatch.context() as patch:
            if before_tensors:
                patch.setattr(torch, "frombuffer", no_tensor)
                patch.setattr("hmnpack.bundle.read.bytearray", no_tensor, raising=False)
            with pytest.raises(fault, match=match) as caught:
                read(path)
        assert type(caught.value) is fault
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert len(text) < len(str(path)) + 600
        assert text.isprintable()
        if before_tensors:
            with pytest.raises(fault, match=match):
                inspect(path)
        return text

    return check
