"""Files with unknown containers and codings: validated and shown, but never decoded."""

import hashlib
import json
import struct

import pytest

import hmnpack
from hmnpack.bundle import inspect, read
from hmnpack.bundle.faults import (
    BadManifest,
    BadSize,
    Corrupted,
    LedgerMismatch,
    OverBudget,
    UnknownContainer,
)

NO_HASH = "0" * 64


def row(**changes):
    """A tensor of 20 elements in packed bits: 20 * 3 bits are 7.5 bytes."""
    facts = {"name": "codes", "role": "pictures", "shape": [4, 5], "dtype": "I3", "bytes": 8}
    return facts | changes


def entry(**changes):
    return {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} | changes


def container(**changes):
    facts = {
        "kind": "codes/1",
        "dtype": "I3",
        "classes": 2,
        "instances": 3,
        "image": {"channels": 1, "height": 8, "width": 8},
        "book": {"words": [1, 2], "deep": {"x": None}},
    }
    return facts | changes


@pytest.fixture
def made(bundle_of, images, tmp_path):
    """Return a function that writes a file with one tensor, from parts of manifest and header."""
    image = {"channels": 1, "height": 8, "width": 8}
    manifest = bundle_of(images(image=image)).manifest.document()

    def write(container, row, entry, tensor=bytes(range(8)), **more):
        facts = {
            "container": container,
            "ledger": {"rows": [row]},
            "data_sha256": hashlib.sha256(tensor).hexdigest(),
            "manifest_sha256": NO_HASH,
        }
        text = json.dumps(
            manifest | facts | more, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        text = text.replace(f'"manifest_sha256":"{NO_HASH}', f'"manifest_sha256":"{digest}')
        header = json.dumps({"__metadata__": {"hmn": text}, row["name"]: entry}).encode()
        path = tmp_path / "new.hmn"
        path.write_bytes(struct.pack("<Q", len(header)) + header + tensor)
        return path

    return write


def test_unknown_container_is_inspected_and_verified(made):
    path = made(container(), row(), entry())
    manifest = inspect(path, verify=True)
    assert (manifest.container.kind, manifest.container.images) == ("codes/1", 6)
    assert (manifest.ledger.floats, manifest.ledger.bytes) == (20, 8)
    assert manifest.document()["container"] == container()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupted, match="data_sha256"):
        inspect(path, verify=True)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (container(), "container 'codes/1', only hmn/1 and images/1 and multi-formation/1 and"),
        (container(kind="hmn/2"), "container 'hmn/2'"),
        (container(kind="images/1"), "floats stored as 'I3', only F32 and F16"),
        (container(kind="hmn/1", dtype="X9"), "floats stored as 'X9', only F32 and F16 and I8"),
    ],
)
def test_unknown_container_is_not_decoded(made, spec, what):
    path = made(spec, row(dtype=spec["dtype"]), entry())
    for use in (read, hmnpack.load, lambda path: hmnpack.expand(path, path.with_name("out"))):
        with pytest.raises(UnknownContainer, match=f"hmnpack .* cannot decode {what}") as caught:
            use(path)
        assert str(caught.value).endswith("; try a newer version")
    assert inspect(path).container.dtype == spec["dtype"]


@pytest.mark.parametrize("coding", ["I2", "I4", "I5", "I7"])
def test_packed_bits_are_rounded_up_to_bytes(made, coding):
    size = -(-20 * int(coding[1]) // 8)
    stored = entry(shape=[size], data_offsets=[0, size])
    spec = container(dtype=coding)
    path = made(spec, row(dtype=coding, bytes=size), stored, bytes(size))
    assert inspect(path, verify=True).ledger.bytes == size
    with pytest.raises(BadManifest, match=f"20 {coding} elements take {size}"):
        inspect(made(spec, row(dtype=coding, bytes=size + 1), stored, bytes(size)))


@pytest.mark.parametrize(
    ("stored", "match"),
    [
        (entry(dtype="I8"), "has type 'I8', but U8 in the ledger"),
        (entry(shape=[4, 2]), "has shape .4, 2., but .8. in the ledger"),
    ],
)
def test_packed_bits_are_a_vector_of_bytes(made, stored, match):
    with pytest.raises(LedgerMismatch, match=match):
        inspect(made(container(), row(), stored))


def test_unknown_coding_has_its_bytes_checked(made):
    stored = entry(dtype="BF16", shape=[4])
    assert inspect(made(container(dtype="Q9"), row(dtype="Q9"), stored), verify=True)
    with pytest.raises(LedgerMismatch, match="has 8 bytes, but 7 in the ledger"):
        inspect(made(container(dtype="Q9"), row(dtype="Q9", bytes=7), stored))


def test_unknown_container_has_its_ledger_checked(made):
    path = made(container(), row(name="other"), entry())
    path.write_bytes(path.read_bytes().replace(b'"other": {"dtype"', b'"codes": {"dtype"'))
    with pytest.raises(LedgerMismatch, match="'codes' is stored but not in the ledger"):
        inspect(path)


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        ({"bytes": 7}, "8 bytes are stored, the budget allows 7"),
        ({"ipc": 1, "floats": 128, "bytes": 511}, "the budget does not equal 1 images per class"),
    ],
)
def test_unknown_container_has_its_budget_checked(made, budget, match):
    fault = OverBudget if "ipc" not in budget else BadManifest
    with pytest.raises(fault, match=match):
        inspect(made(container(), row(), entry(), budget=budget))
    assert inspect(made(container(), row(), entry(), budget={"bytes": 8})).budget.ipc is None


@pytest.mark.parametrize(
    ("changes", "fault", "match"),
    [
        ({"classes": 3}, BadManifest, "2 class names for 3 classes"),
        ({"instances": 0}, BadSize, r"instances\.number: Input should be greater"),
        ({"dtype": "f32"}, BadManifest, "dtype: String should match"),
        (
            {"image": {"channels": 16, "height": 4096, "width": 4096}, "instances": 40},
            BadSize,
            "decode to",
        ),
    ],
)
def test_unknown_container_has_its_common_keys_checked(made, changes, fault, match):
    with pytest.raises(fault, match=match):
        inspect(made(container(**changes), row(), entry()))
