"""Files with a wrong length, an invalid header or flipped bits."""

import json
import struct

import pytest
import torch

import hmnpack
from hmnpack.bundle import Bundle, data_sha256, inspect, read
from hmnpack.bundle.faults import (
    BadHeader,
    BadManifest,
    Corrupted,
    HeaderTooLarge,
    LedgerMismatch,
    NotABundle,
    NotCanonical,
    NotFinite,
    TrailingBytes,
    Truncated,
)
from hmnpack.bundle.header import strict_json
from hmnpack.errors import BadBundle


def header_of(data):
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, tensors):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, -100, -1])
def test_truncated(whole, rejected, length):
    rejected(whole[:length], Truncated, "ends|long|but its header states")


def test_empty(rejected):
    rejected(b"", Truncated, "is empty")


@pytest.mark.parametrize("tail", [b"\0", b"x" * 5000])
def test_trailing_bytes(whole, rejected, tail):
    rejected(whole + tail, TrailingBytes, f"has {len(tail)} bytes after its last tensor")


@pytest.mark.parametrize(
    "start", [b"\x89PNG\r\n\x1a\n", b"PK\x03\x04\x14\0\x08\x08", b"Hello, world, this is text"]
)
def test_not_safetensors(rejected, start):
    rejected(start + bytes(1000), HeaderTooLarge, "is it a .hmn file")


@pytest.mark.parametrize("length", [2**20 + 1, 200_000_000, 2**63, 2**64 - 1])
def test_header_too_long(whole, rejected, length):
    rejected(struct.pack("<Q", length) + whole[8:], HeaderTooLarge, f"{length} bytes")


def test_header_too_long_in_a_file_of_that_size(rejected):
    data = struct.pack("<Q", 2**20 + 8) + b"{" + b" " * (2**20 + 7)
    rejected(data, HeaderTooLarge, "1048584")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (b"", "does not start with"),
        (b"[1, 2, 3]", "does not start with"),
        (b" {}", "does not start with"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "Infinity is not JSON"),
        (b'{"a": 1, "a": 1}', "duplicate key 'a'"),
        (b'{"\xff": 1}', "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": ' + b"[" * 17 + b"]" * 17 + b"}", "nested more than 16 levels deep"),
        (b'{"a": ' + b"[" * 200_000, "nested more than 16 levels deep"),
        (b"{}", "single key 'hmn', not 'nothing'"),
        (b'{"__metadata__": 1}', "single key 'hmn'"),
        (b'{"__metadata__": {"hmn": 1}}', "not a string"),
        (b'{"__metadata__": {"hmn": "{}"}}', "has 0 tensors"),
    ],
)
def test_invalid_header(rejected, header, match):
    rejected(with_header(header, b""), BadHeader, match)


@pytest.mark.parametrize("innermost", ["", "1", '"a"'])
def test_nesting_depth_counts_the_document_itself(innermost):
    assert strict_json('{"a":' + "[" * 15 + innermost + "]" * 15 + "}")
    with pytest.raises(ValueError, match="nested more than 16 levels deep"):
        strict_json('{"a":' + "[" * 16 + innermost + "]" * 16 + "}")


@pytest.mark.parametrize("metadata", [{}, {"hmn": "{}", "format": "pt"}, {"HMN": "{}"}])
def test_metadata_has_one_key(whole, rejected, metadata):
    header, tensors = header_of(whole)
    rejected(
        with_header(header | {"__metadata__": metadata}, tensors), BadHeader, "single key 'hmn'"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [-1]),
        ("shape", [True]),
        ("shape", [1.0]),
        ("shape", "5"),
        ("shape", [[5]]),
        ("shape", []),
        ("shape", [1] * 9),
        ("shape", [2**63]),
        ("shape", [2**31 + 1]),
        ("shape", [5, 0]),
        ("dtype", 32),
        ("data_offsets", [0]),
        ("data_offsets", [0, 20, 40]),
        ("data_offsets", [20, 0]),
        ("data_offsets", [-20, 0]),
        ("data_offsets", [0, 0]),
        ("data_offsets", [0.0, 20.0]),
        ("data_offsets", None),
        ("extra", 1),
    ],
)
def test_invalid_tensor_entry(whole, rejected, key, value):
    header, tensors = header_of(whole)
    header["decoder.0.bias"][key] = value
    rejected(with_header(header, tensors), BadHeader, r"tensor 'decoder\.0\.bias'")


@pytest.mark.parametrize("shift", [-4, 4, 10**15])
def test_gaps_and_overlaps(whole, rejected, shift):
    header, tensors = header_of(whole)
    begin, end = header["memory.class"]["data_offsets"]
    header["memory.class"]["data_offsets"] = [begin + shift, end + shift]
    rejected(with_header(header, tensors), BadHeader, "without gaps")


def test_two_tensors_swapped(whole, rejected):
    header, tensors = header_of(whole)
    one, other = header["memory.class"], header["memory.instance"]
    one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
    rejected(with_header(header, tensors), BadHeader, "in the order of their names")


def test_too_many_tensors(whole, rejected):
    header, tensors = header_of(whole)
    header |= {f"more{i}": header["decoder.0.bias"] for i in range(300)}
    rejected(with_header(header, tensors), BadHeader, "1 to 256 are allowed")


def test_extra_tensor(whole, rejected):
    header, tensors = header_of(whole)
    end = len(tensors)
    header["z"] = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
    rejected(with_header(header, tensors + bytes(4)), LedgerMismatch, "'z' is stored but not in")


def test_missing_tensor(whole, rejected):
    header, tensors = header_of(whole)
    begin, _ = header.pop("memory.instance")["data_offsets"]
    rejected(
        with_header(header, tensors[:begin]),
        LedgerMismatch,
        r"'memory\.instance' is in the ledger but not stored",
    )


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("shape", [2, 2, 4, 2, 2], "has shape .2, 2, 4, 2, 2., but .2, 2, 4, 4. in the ledger"),
        ("shape", [2**31, 2**31], "2147483648"),
        ("dtype", "F16", "has type 'F16', but F32 in the ledger"),
        ("dtype", "\u001b[31m", "x1b"),
    ],
)
def test_tensor_type_and_shape_differ_from_the_ledger(whole, rejected, key, value, match):
    header, tensors = header_of(whole)
    header["memory.class"][key] = value
    rejected(with_header(header, tensors), LedgerMismatch, match)


def test_ledger_type_differs_from_the_container(forge, rejected):
    """The file would decode to other values, from half as many bytes."""

    def change(header, manifest):
        for row in manifest["ledger"]["rows"]:
            row["dtype"], row["bytes"] = "F16", row["bytes"] // 2

    rejected(forge(change), LedgerMismatch, "the ledger does not match the container")


@pytest.mark.parametrize("dtype", ["f16", "../x", "F" * 17, "", None, 16])
def test_container_with_an_invalid_type(forge, rejected, dtype):
    data = forge(lambda _, manifest: manifest["container"].update(dtype=dtype))
    rejected(data, BadManifest, "key container.*dtype: Input should be 'F32', 'F16' or 'I8'")


@pytest.mark.parametrize(("name", "dtype"), [("decoder.0.bias", "I8"), ("memory.class", "F16")])
def test_tensor_type_differs_from_its_role(forge, rejected, bundle_of, hmn, name, dtype):
    """With 8-bit memories, all other tensors are 16-bit; no other combination is valid."""

    def change(_, manifest):
        (row,) = (row for row in manifest["ledger"]["rows"] if row["name"] == name)
        row["bytes"] = {"I8": row["bytes"] // 2, "F16": row["bytes"] * 2}[dtype]
        row["dtype"] = dtype

    data = forge(change, bundle_of(hmn(dtype="I8")).to_bytes())
    rejected(data, LedgerMismatch, "the ledger does not match the container")


@pytest.mark.parametrize(("stored", "forged"), [("I8", "U8"), ("F16", "BF16")])
def test_tensor_type_of_the_same_size(rejected, bundle_of, hmn, stored, forged):
    header, tensors = header_of(bundle_of(hmn(dtype="I8")).to_bytes())
    name = "memory.instance" if stored == "I8" else "decoder.0.weight"
    assert header[name]["dtype"] == stored
    header[name]["dtype"] = forged
    rejected(
        with_header(header, tensors), LedgerMismatch, f"'{forged}', but {stored} in the ledger"
    )


def test_tensor_bytes_differ_from_the_ledger(whole, rejected):
    header, tensors = header_of(whole)
    header["memory.instance"]["data_offsets"][1] += 4
    rejected(with_header(header, tensors + bytes(4)), LedgerMismatch, "bytes, but .* in the ledger")


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_flipped_bit_in_a_tensor(whole, rejected, tmp_path, place):
    _, tensors = header_of(whole)
    data = bytearray(whole)
    data[len(whole) - len(tensors) + int(place * len(tensors))] ^= 1
    rejected(bytes(data), Corrupted, "data_sha256", before_tensors=False)
    path = tmp_path / "bad.hmn"
    inspect(path)
    with pytest.raises(Corrupted, match="data_sha256"):
        inspect(path, verify=True)


def test_flipped_bit_in_the_manifest(whole, rejected):
    rejected(whole.replace(b"ant", b"aot"), Corrupted, "manifest_sha256")


def test_finite_values_that_decode_to_infinities(bundle_of, hmn, tmp_path):
    bundle = bundle_of(hmn())
    huge = {name: tensor.sign() * 1e20 for name, tensor in bundle.tensors.items()}
    manifest = bundle.manifest.model_copy(update={"data_sha256": data_sha256(huge)})
    path = tmp_path / "huge.hmn"
    path.write_bytes(Bundle(manifest, huge).to_bytes())
    data = hmnpack.load(path)
    for use in (data.tensors, lambda: data[0], lambda: hmnpack.expand(path, tmp_path / "out")):
        with pytest.raises(BadBundle, match="too large: they decode to infinite or NaN"):
            use()
    assert [each.name for each in tmp_path.iterdir()] == ["huge.hmn"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_finite(rejected, bundle_of, images, value, monkeypatch):
    bundle = bundle_of(images())
    bundle.tensors["pixels"][1, 0, 1, 2] = value
    manifest = bundle.manifest.model_copy(update={"data_sha256": data_sha256(bundle.tensors)})
    with monkeypatch.context() as patch:
        patch.setattr("hmnpack.bundle.bundle.check_finite", lambda tensors: None)
        data = Bundle(manifest, bundle.tensors).to_bytes()
    rejected(data, NotFinite, "'pixels'", before_tensors=False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(":", ": "),
        lambda text: text + " ",
        lambda text: text.replace("ant", "\\u0061nt"),
        lambda text: text.replace('"ipc":1', '"ipc":1.0').replace("0.5", "5e-1"),
    ],
)
def test_manifest_is_not_canonical(whole, rejected, spoil):
    header, tensors = header_of(whole)
    header["__metadata__"]["hmn"] = spoil(header["__metadata__"]["hmn"])
    rejected(with_header(header, tensors), NotCanonical, "canonical")


@pytest.mark.parametrize("end", [b"\n", b"\t", b" \r "])
def test_header_padding_other_than_spaces(whole, rejected, end):
    header, tensors = header_of(whole)
    text = json.dumps(header).encode() + end
    rejected(
        struct.pack("<Q", len(text)) + text + tensors, BadHeader, "white space other than spaces"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a":1,"a":2}', "NaN", "\ud800"])
def test_manifest_is_not_an_object(whole, rejected, text):
    header, tensors = header_of(whole)
    header["__metadata__"]["hmn"] = text
    rejected(with_header(header, tensors), BadManifest, "manifest: not")


def test_path_is_not_a_regular_file(tmp_path, whole):
    with pytest.raises(NotABundle, match="not a file"):
        read(tmp_path)
    with pytest.raises(NotABundle, match="No such file"):
        inspect(tmp_path / "none.hmn")
    with pytest.raises(BadBundle, match="cannot be read"):
        inspect(tmp_path / "none.hmn" / "below")


def test_a_link_to_a_bundle_is_read(tmp_path, whole):
    (tmp_path / "a.hmn").write_bytes(whole)
    (tmp_path / "link.hmn").symlink_to(tmp_path / "a.hmn")
    assert torch.is_tensor(read(tmp_path / "link.hmn").tensors["memory.dataset"])
