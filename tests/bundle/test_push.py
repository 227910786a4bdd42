"""`hmnpack.push`, to a stand-in for the hub."""

import hashlib
import sys
from pathlib import Path

import pytest

import hmnpack
from hmnpack.bundle.faults import Corrupted, NotABundle
from hmnpack.errors import BadSettings, MissingExtra, OutputExists, PushFails

GOLDEN = Path(__file__).parents[1] / "golden" / "v1-hmn.hmn"

library = pytest.importorskip("huggingface_hub")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pets.hmn"
    path.write_bytes(GOLDEN.read_bytes())
    return path


def pushed(file, **options):
    return hmnpack.push(file, "me/pets", license="mit", **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_dry_run_writes_exactly_what_is_pushed(hub, file, tmp_path):
    dry = pushed(file, dry_run=tmp_path / "out")
    assert hub.asked == []
    assert dry.address == "hf://me/pets/pets.hmn"
    found = contents(tmp_path / "out")
    assert found == dry.files and sorted(found) == ["README.md", "pets.hmn"]
    done = pushed(file)
    repository = hub.repositories["me/pets"]
    assert {name: repository.files[name] for name in found} == found == done.files
    assert found["pets.hmn"] == GOLDEN.read_bytes()
    assert set(repository.files) == {".gitattributes", *found}
    assert done.address == f"hf://me/pets@{repository.head}/pets.hmn"
    assert not repository.private


def test_pushed_file_is_read_by_its_address_and_by_that_of_the_card(hub, file):
    done = pushed(file)
    assert hmnpack.inspect(done.address) == hmnpack.inspect(GOLDEN)
    card = done.files["README.md"].decode()
    assert 'hmnpack.load("hf://me/pets/pets.hmn")' in card
    assert len(hmnpack.load("hf://me/pets/pets.hmn")) == 6


def test_what_is_there_already_is_not_pushed_again(hub, file):
    first = pushed(file)
    hub.asked.clear()
    assert pushed(file) == first
    assert hub.asked == ["GET /api/datasets/me/pets"]


def test_private_repository(hub, file):
    pushed(file, private=True)
    assert hub.repositories["me/pets"].private
    hub.repositories["me/pets"].private = False
    with pytest.raises(BadSettings, match="exists and is public"):
        pushed(file, private=True)


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ({"pets.hmn": b"mine"}, r"has a different pets\.hmn; name another repository"),
        ({"README.md": b"mine"}, r"has a different README\.md; name another"),
        ({"data.csv": b"mine"}, r"has other files: data\.csv; name another"),
        (
            {"a": b"", "b": b"", "c/d": b"", "e": b""},
            r"has other files: a, b, c/d, \.\.\.; .* use force \(--force\) to replace README\.md "
            r"and pets\.hmn there and leave its other files",
        ),
    ],
)
def test_other_content_is_only_replaced_with_force(hub, file, present, said):
    repository = hub.create("me/pets")
    head = repository.commit(**present)
    with pytest.raises(OutputExists, match=said):
        pushed(file)
    assert repository.head == head
    done = pushed(file, force=True)
    assert {**repository.files} == {
        ".gitattributes": repository.files[".gitattributes"],
        **present,
        **done.files,
    }


def test_empty_repository_is_filled(hub, file):
    repository = hub.create("me/pets")
    pushed(file)
    assert "pets.hmn" in repository.files
    assert "POST /api/repos/create" not in hub.asked


def test_repository_that_changes_meanwhile_is_left(hub, file, monkeypatch):
    repository = hub.create("me/pets")
    commit = library.HfApi.create_commit

    def late(*arguments, **options):
        repository.commit(other=b"somebody's")
        return commit(*arguments, **options)

    monkeypatch.setattr(library.HfApi, "create_commit", late)
    with pytest.raises(PushFails, match="has changed meanwhile: run the command again"):
        pushed(file)
    assert "pets.hmn" not in repository.files


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/repos/create", 401, "the token is not valid"),
        ("/repos/create", 403, "does not have the right"),
        ("/repos/create", 409, "the repository exists, or has changed"),
        ("/commit/main", 403, "does not have the right"),
        ("/me/pets", 500, "the hub answered 500: try again later"),
    ],
)
def test_refusal_of_the_hub_is_one_line(hub, file, path, status, said):
    hub.refuse[path] = status
    with pytest.raises(PushFails, match=rf"^cannot push to me/pets \(.*{said}") as caught:
        pushed(file)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 8


def test_metadata_that_the_hub_refuses_are_quoted(hub, file, monkeypatch):

    def refuse(*_, **__):
        raise ValueError('Invalid metadata in README.md.\n- "license" must be one of [...]')

    monkeypatch.setattr(library.HfApi, "_validate_yaml", refuse)
    with pytest.raises(PushFails, match=r'README\.md\. - "license" must be one of'):
        pushed(file)


def test_no_token_is_one_line_and_nothing_is_asked(hub, file, monkeypatch):
    monkeypatch.setattr(library, "get_token", lambda: None)
    with pytest.raises(PushFails, match="no access token: log in with 'hf auth login'"):
        pushed(file)
    assert hub.asked == []


@pytest.mark.usefixtures("no_network")
def test_no_network_is_one_line(file):
    with pytest.raises(PushFails, match="the hub cannot be reached: "):
        pushed(file)


def test_damaged_file_is_not_pushed(hub, file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Corrupted, match=r"pets\.hmn: the tensors do not match"):
        pushed(file)
    with pytest.raises(NotABundle, match="cannot be read"):
        pushed(file.with_name("none.hmn"))
    assert hub.asked == []


@pytest.mark.parametrize(
    ("repository", "license", "said"),
    [
        ("pets", "mit", "repository 'pets' is not of the form owner/name"),
        ("me/pe ts", "mit", "repository 'me/pe ts' is not of the form"),
        ("me/my/pets", "mit", "repository 'me/my/pets' is not of the form"),
        ("me/pe--ts", "mit", "repository 'me/pe--ts' is not of the form"),
        ("hf://me/pets", "mit", "repository 'hf://me/pets' is not of the form"),
        ("me/pets", "MIT License", "license 'MIT License' is not an identifier"),
        ("me/pets", "", "license '' is not an identifier"),
        ("me/pets", "mit\nviewer: true", "is not an identifier"),
    ],
)
def test_invalid_words_are_refused(hub, file, repository, license, said):
    with pytest.raises(BadSettings, match=said):
        hmnpack.push(file, repository, license=license)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["pets.bin", "my pets.hmn", "-.hmn", ".hmn", "pe`ts.hmn"])
def test_file_with_another_kind_of_name_is_refused(hub, file, name):
    renamed = file.rename(file.with_name(name))
    with pytest.raises(BadSettings, match="cannot keep its name on the hub"):
        pushed(renamed)


def test_address_is_not_pushed(hub):
    with pytest.raises(BadSettings, match="cannot keep its name on the hub"):
        pushed("hf://you/pets/pets.hmn")


def test_dry_run_replaces_only_with_force(file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    pushed(file, dry_run=out)
    (out / "README.md").write_text("mine")
    (out / "notes").write_text("mine")
    with pytest.raises(OutputExists, match="is not empty"):
        pushed(file, dry_run=out)
    done = pushed(file, dry_run=out, force=True)
    assert contents(out) == {"notes": b"mine", **done.files}
    with pytest.raises(OutputExists, match="is not a folder"):
        pushed(file, dry_run=file, force=True)
    with pytest.raises(BadSettings, match="does not exist; create it first"):
        pushed(file, dry_run=tmp_path / "no" / "out")


def test_missing_library_names_the_extra(monkeypatch, file):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"\[hub\]"):
        pushed(file)


def test_facts_of_a_repository_as_the_library_reads_them(hub, file):
    """The stand-in states hashes as the hub does: of LFS files a sha256, of others a git blob."""
    pushed(file)
    info = library.HfApi().repo_info("me/pets", repo_type="dataset", files_metadata=True)
    found = {each.rfilename: each for each in info.siblings}
    assert found["pets.hmn"].lfs.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found["README.md"].lfs is None and len(found["README.md"].blob_id) == 40
