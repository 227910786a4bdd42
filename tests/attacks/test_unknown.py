"""Files of containers and codings that this version does not know: whole or not, never decoded."""

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
    """A tensor of 20 numbers in packed bits: 20 * 3 bits are 7.5 bytes."""
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
    """The function that writes a file of one tensor, by parts of its manifest and header."""
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


def test_what_it_says_is_read_and_its_bytes_are_checked(made):
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
        (container(), "container 'codes/1', only hmn/1 and images/1"),
        (container(kind="hmn/2"), "container 'hmn/2'"),
        (container(kind="images/1"), "numbers stored as 'I3', only F32 and F16"),
        (container(kind="hmn/1", dtype="X9"), "numbers stored as 'X9', only F32 and F16 and I8"),
    ],
)
def test_its_images_are_refused_in_one_line(made, spec, what):
    path = made(spec, row(dtype=spec["dtype"]), entry())
    for use in (read, hmnpack.load, lambda path: hmnpack.expand(path, path.with_name("out"))):
        with pytest.raises(UnknownContainer, match=f"hmnpack .* cannot decode {what}") as caught:
            use(path)
        assert str(caught.value).endswith("; a newer one may")
    assert inspect(path).container.dtype == spec["dtype"]


@pytest.mark.parametrize("coding", ["I2", "I4", "I5", "I7"])
def test_packed_bits_take_whole_bytes(made, coding):
    size = -(-20 * int(coding[1]) // 8)
    stored = entry(shape=[size], data_offsets=[0, size])
    spec = container(dtype=coding)
    path = made(spec, row(dtype=coding, bytes=size), stored, bytes(size))
    assert inspect(path, verify=True).ledger.bytes == size
    with pytest.raises(BadManifest, match=f"20 {coding} numbers take {size}"):
        inspect(made(spec, row(dtype=coding, bytes=size + 1), stored, bytes(size)))


@pytest.mark.parametrize(
    ("stored", "match"),
    [
        (entry(dtype="I8"), "stored as 'I8', the ledger says U8"),
        (entry(shape=[4, 2]), "stored as .4, 2., the ledger says .8."),
    ],
)
def test_packed_bits_are_bytes_in_a_row(made, stored, match):
    with pytest.raises(LedgerMismatch, match=match):
        inspect(made(container(), row(), stored))


def test_of_a_coding_that_is_not_known_the_bytes_are_counted(made):
    stored = entry(dtype="BF16", shape=[4])
    assert inspect(made(container(dtype="Q9"), row(dtype="Q9"), stored), verify=True)
    with pytest.raises(LedgerMismatch, match="stored in 8 bytes, the ledger says 7"):
        inspect(made(container(dtype="Q9"), row(dtype="Q9", bytes=7), stored))


def test_its_tensors_are_those_of_its_ledger(made):
    path = made(container(), row(name="other"), entry())
    path.write_bytes(path.read_bytes().replace(b'"other": {"dtype"', b'"codes": {"dtype"'))
    with pytest.raises(LedgerMismatch, match="'codes' is stored, but not in the ledger"):
        inspect(path)


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        ({"bytes": 7}, "8 bytes are stored, 7 may be"),
        ({"ipc": 1, "floats": 128, "bytes": 511}, "the budget is not that of 1 images per class"),
    ],
)
def test_its_budget_is_checked(made, budget, match):
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
def test_what_all_containers_share_is_checked(made, changes, fault, match):
    with pytest.raises(fault, match=match):
        inspect(made(container(**changes), row(), entry()))
