"""`hmnpack audit`, on a small folder of images, and its result on the report page."""

import json

import numpy as np
import pytest
from PIL import Image

import hmnpack
from hmnpack.schema.audit import AuditResult

QUICK = ("--epochs", 1, "--repeats", 2, "--width", 4, "--set", "network.depth=2", "--device", "cpu")


@pytest.fixture
def folder(tmp_path):
    """Noise of two classes, with a test split."""
    drawn = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 4)):
        for name in ("ant", "bee"):
            made = tmp_path / "data" / split / name
            made.mkdir(parents=True)
            for index in range(count):
                pixels = drawn.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(made / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def file(folder, tmp_path):
    """A file that holds the training images themselves."""
    source = hmnpack.open_source(str(folder))
    train, out = source.train, tmp_path / "pets.hmn"
    hmnpack.pack(train.images, train.labels, ipc=5, data=source, output=out)
    return out


def test_tables_state_distances_attacks_and_limits(run, file, folder):
    done = run("audit", file, "--data", folder, *QUICK)
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "bundle, pixels 10 0 0 0 0 10 100.0 %" in lines
    for start in (  # training images, members, non-members, networks
        "bundle 10 4 4 2 ",
        "random real, not condensed 4 4 4 2 ",
        "random real, condensed 10 10 4 2 ",
        "bundle less control: ",
    ):
        assert len([line for line in lines if line.startswith(start)]) == 1
    assert "this is not a guarantee, and not differential privacy" in " ".join(lines)


def test_saved_result_is_shown_on_the_report_page(run, file, folder, tmp_path):
    saved, page = tmp_path / "audit.json", tmp_path / "page.html"
    done = run("audit", file, "--data", folder, *QUICK, "--seed", 3, "--save", saved, "--json")
    assert done.exit_code == 0, done.output
    result = AuditResult.model_validate_json(saved.read_bytes())
    assert json.loads(done.stdout) == json.loads(saved.read_text())
    assert (result.seed, result.audit.protocol.repeats) == (3, 2)
    assert result.bundle_data_sha256 == hmnpack.inspect(file).data_sha256
    assert result.audit.picture
    done = run("report", file, "--audit", saved, "-o", page)
    assert done.exit_code == 0, done.output
    assert "What the file gives away" in page.read_text(encoding="utf-8")


def test_pictures_are_left_out_on_request(run, file, folder):
    done = run("audit", file, "--data", folder, *QUICK, "--no-pictures", "--json", "-q")
    found = json.loads(done.stdout)
    assert found["audit"]["picture"] is None and len(found["audit"]["pairs"]) == 10


def test_invalid_calls_fail_with_one_line_before_training(run, file, folder, tmp_path):
    saved = tmp_path / "audit.json"
    saved.write_text("mine")
    given = ("audit", file, "--data", folder, *QUICK)
    for words, code, said in (
        (("--save", saved), 2, "exists; name another file"),
        (("--save", file, "--force"), 2, "is the bundle itself"),
        (("--net", "resnet99"), 2, "resnet99"),
        (("--held-out",), 3, "does not record which images were held out"),
        (("--set", "train.epoch=3"), 2, "train.epoch"),
    ):
        done = run(*given, *words)
        assert (done.exit_code, said in done.stderr) == (code, True), done.output
        assert len(done.stderr.splitlines()) == 1
    assert saved.read_text() == "mine"
    assert run("audit", file).exit_code == 2


def test_report_refuses_the_audit_of_another_file(run, file, folder, bundle_of, hmn, tmp_path):
    saved, page = tmp_path / "audit.json", tmp_path / "page.html"
    assert run("audit", file, "--data", folder, *QUICK, "--save", saved).exit_code == 0
    other = tmp_path / "other.hmn"
    bundle_of(hmn()).save(other)
    for audit, said in (
        (saved, "is the result of another bundle"),
        (file, "is not a result file written by audit --save"),
        (tmp_path / "none", "cannot be read"),
    ):
        done = run("report", other, "--audit", audit, "-o", page)
        assert done.exit_code == 2 and said in done.stderr
    assert not page.exists()
