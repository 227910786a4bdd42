"""`hmnpack.pull`, from a stand-in for the hub."""

from pathlib import Path

import pytest

import hmnpack
from hmnpack.bundle.faults import Corrupted, NotABundle
from hmnpack.errors import BadSettings, OutputExists

FOLDER = Path(__file__).parents[1] / "golden"
ONE, OTHER = ((FOLDER / f"v1-{name}.hmn").read_bytes() for name in ("hmn", "images"))

pytest.importorskip("huggingface_hub")


@pytest.fixture
def repository(hub):
    return hub.create("me/pets")


def pulled(address, tmp_path, **options):
    out = hmnpack.pull(address, tmp_path / "out.hmn", **options)
    assert out == tmp_path / "out.hmn"
    return out.read_bytes()


@pytest.mark.parametrize(
    "address", ["me/pets/in/a.hmn", "hf://me/pets/in/a.hmn", "me/pets", "datasets/me/pets"]
)
def test_file_is_written_byte_for_byte(repository, tmp_path, address):
    repository.commit(**{"in/a.hmn": ONE, "README.md": b""})
    assert pulled(address, tmp_path) == ONE


def test_what_was_pushed_is_pulled(hub, tmp_path):
    (tmp_path / "a.hmn").write_bytes(OTHER)
    done = hmnpack.push(tmp_path / "a.hmn", "me/pets", license="mit")
    assert pulled("me/pets", tmp_path) == OTHER
    assert pulled(done.address, tmp_path, force=True) == OTHER


def test_revision_is_honoured(repository, tmp_path):
    first = repository.commit(**{"a.hmn": ONE})
    repository.commit(**{"a.hmn": OTHER})
    assert pulled("me/pets/a.hmn", tmp_path) == OTHER
    assert pulled(f"me/pets@{first}/a.hmn", tmp_path, force=True) == ONE
    assert pulled(f"me/pets@{first}", tmp_path, force=True) == ONE
    with pytest.raises(NotABundle, match="the repository has no such revision"):
        pulled("me/pets@v9", tmp_path, force=True)


@pytest.mark.parametrize("address", ["me/pets", "me/pets/a.hmn"])
def test_cache_is_used_without_a_network(repository, tmp_path, request, address):
    repository.commit(**{"a.hmn": ONE})
    pulled("me/pets/a.hmn", tmp_path)
    request.getfixturevalue("no_network")
    assert pulled(address, tmp_path, force=True) == ONE
    with pytest.raises(NotABundle, match="and the file is not in the cache"):
        pulled("me/others", tmp_path, force=True)


def test_several_files_must_be_named(repository, tmp_path):
    repository.commit(**{"b.hmn": ONE, "a.hmn": OTHER})
    said = r"has 2 \.hmn files \(a\.hmn, b\.hmn\); name one: hf://me/pets/a\.hmn"
    with pytest.raises(BadSettings, match=said):
        pulled("me/pets", tmp_path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("me/pets", r"^hf://me/pets: the repository has no \.hmn file"),
        ("me/pets/b.hmn", r"^hf://me/pets/b\.hmn: cannot be fetched \(the repository has no such"),
        ("you/pets", r"^hf://you/pets: cannot be fetched \(there is no such repository, or it is"),
    ],
)
def test_missing_file_is_one_line(repository, tmp_path, address, said):
    with pytest.raises(NotABundle, match=said):
        pulled(address, tmp_path)
    assert not (tmp_path / "out.hmn").exists()


def test_damaged_file_is_not_written(repository, tmp_path):
    repository.commit(**{"a.hmn": ONE[:-1] + bytes([ONE[-1] ^ 1])})
    with pytest.raises(Corrupted, match=r"^hf://me/pets/a\.hmn: the tensors do not match"):
        pulled("me/pets/a.hmn", tmp_path)
    assert not (tmp_path / "out.hmn").exists()


def test_output_is_only_replaced_with_force(repository, hub, tmp_path):
    (tmp_path / "out.hmn").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        pulled("me/pets", tmp_path)
    assert hub.asked == []
    assert (tmp_path / "out.hmn").read_bytes() == b"mine"


@pytest.mark.parametrize("address", ["me", "", "hf://", "me/@v1"])
def test_address_without_a_repository_is_refused(tmp_path, address):
    with pytest.raises(BadSettings, match="does not name a repository: use owner/name"):
        pulled(address, tmp_path)
