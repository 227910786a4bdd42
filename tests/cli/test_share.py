"""`hmnpack push` and `hmnpack pull`."""

import pytest

library = pytest.importorskip("huggingface_hub")


def test_dry_run_names_what_it_wrote(run, bundle_file, tmp_path):
    out = tmp_path / "out"
    done = run("push", bundle_file, "me/pets", "--license", "mit", "--dry-run", out)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"pets.hmn and README.md: {out}, nothing pushed\n"
    card = library.DatasetCard.load(out / "README.md")
    assert card.data.license == "mit"
    assert r"\[bold\]cat" in card.text and "\x1b" not in card.content


def test_push_prints_the_pinned_address(run, bundle_file, monkeypatch):
    from hmnpack.bundle import push

    asked = []

    def commit(_, repository, files, *, private, force):
        asked.append((repository, sorted(files), private, force))
        return "0" * 40

    monkeypatch.setattr(push, "commit_files", commit)
    done = run("push", bundle_file, "me/pets", "--license", "mit", "--private", "--force")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"pets.hmn and README.md: hf://me/pets@{'0' * 40}/pets.hmn\n"
    assert asked == [("me/pets", ["README.md", "pets.hmn"], True, True)]


def test_license_is_asked_for(run, bundle_file):
    done = run("push", bundle_file, "me/pets")
    assert done.exit_code == 2
    assert done.stderr == "hmnpack: Missing option '--license'; see hmnpack push --help\n"


def test_push_without_a_token_has_its_own_exit_code(run, bundle_file, monkeypatch):
    monkeypatch.setattr(library, "get_token", lambda: None)
    done = run("push", bundle_file, "me/pets", "--license", "mit")
    assert (done.exit_code, done.stdout) == (8, "")
    said = "no access token: log in with 'hf auth login', or set HF_TOKEN"
    assert done.stderr == f"hmnpack: {said}\n"


def test_pull_prints_path_and_size(run, bundle_file, tmp_path, monkeypatch):
    asked = []

    def download(repository, file, *, repo_type, revision):
        asked.append((repository, file, repo_type, revision))
        return str(bundle_file)

    monkeypatch.setattr(library, "hf_hub_download", download)
    out = tmp_path / "out.hmn"
    done = run("pull", "me/pets@v1/pets.hmn", "-o", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{out}: ") and done.stdout.endswith(" kB\n")
    assert out.read_bytes() == bundle_file.read_bytes()
    assert asked == [("me/pets", "pets.hmn", "dataset", "v1")]
    again = run("pull", "me/pets@v1/pets.hmn", "-o", out)
    assert again.exit_code == 2 and "exists; name another file, or use force" in again.stderr
