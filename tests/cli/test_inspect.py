"""`hmnpack inspect`."""

import json

import pytest

from hmnpack.schema.manifest import Manifest, SourceFacts
from hmnpack.schema.score import Score


def test_shows_the_ledger_and_both_budgets(run, bundle, bundle_file):
    done = run("inspect", bundle_file)
    ledger, budget = bundle.manifest.ledger, bundle.manifest.budget
    assert done.exit_code == 0, done.output
    for number in (ledger.floats, ledger.bytes, budget.floats, budget.bytes):
        assert f"{number:,}" in done.stdout
    for row in ledger.rows:
        assert row.name in done.stdout
    assert done.stderr == ""


def test_names_are_printed_literally_with_escaped_control_characters(run, bundle_file):
    shown = run("inspect", bundle_file).stdout
    assert "[bold]cat" in shown
    assert "naïve" in shown
    assert "\x1b" not in shown
    assert "pets\\x1b[2J" in shown


def test_training_split_that_is_not_recorded(run, bundle_of, hmn, tmp_path):
    """A file of other images describes these as its source."""
    own = SourceFacts(name="pets", fingerprint="0" * 64, train_images=6, held_out=0, skipped={})
    bundle_of(hmn(), source=own).save(tmp_path / "s.hmn")
    shown = " ".join(run("inspect", tmp_path / "s.hmn").stdout.split())
    assert "source pets; the file does not record its training split" in shown
    assert "training images" not in shown


def test_images_per_class_are_a_count_or_a_range(run, bundle_of, hmn, tmp_path):
    cases = (
        (3, "9 of 3 x 16 x 16, 3 per class"),
        ((1, 4, 2), "7 of 3 x 16 x 16, 1 to 4 per class"),
    )
    for instances, expected in cases:
        bundle_of(hmn(classes=3, instances=instances)).save(tmp_path / "s.hmn", force=True)
        shown = run("inspect", tmp_path / "s.hmn").stdout
        assert expected in shown
        document = json.loads(run("inspect", tmp_path / "s.hmn", "--json").stdout)
        assert document["container"]["instances"] == (3 if instances == 3 else [1, 4, 2])


def test_score_has_its_sample_standard_deviation(run, bundle_of, hmn, tmp_path):
    """The mean of 50 and 52 is 51, their standard deviation the square root of 2."""
    score = Score(
        protocol="short",
        network="convnet",
        seed=0,
        held_out=False,
        data="pets",
        fingerprint="0" * 64,
        images=9,
        accuracies=(50.0, 52.0),
    )
    bundle_of(hmn(), scores=(score,)).save(tmp_path / "s.hmn")
    shown = " ".join(run("inspect", tmp_path / "s.hmn").stdout.split())
    assert "51.00 % +- 1.41 (2 networks, 9 images)" in shown
    assert "Score 1: convnet on pets" in shown
    assert "test split 0" in shown


def test_score_on_held_out_images_is_labelled(run, bundle_of, hmn, tmp_path):
    score = Score(
        protocol="short",
        network="convnet",
        seed=0,
        held_out=True,
        data="pets",
        fingerprint="0" * 64,
        images=9,
        accuracies=(50.0,),
    )
    bundle_of(hmn(), scores=(score,)).save(tmp_path / "s.hmn")
    shown = " ".join(run("inspect", tmp_path / "s.hmn").stdout.split())
    assert "Score 1: convnet on images held out of pets" in shown
    assert "held-out images 0" in shown
    assert "test split" not in shown


def test_emoji_codes_in_names_are_not_replaced(run, bundle_of, hmn, tmp_path):
    bundle_of(hmn(classes=3), classes=(":cat:", "[red]", "a [")).save(tmp_path / "odd.hmn")
    shown = run("inspect", tmp_path / "odd.hmn").stdout
    assert ":cat:, [red], a [" in shown


def test_json_equals_the_manifest(run, bundle, bundle_file):
    done = run("inspect", bundle_file, "--json")
    assert Manifest.model_validate_json(done.stdout) == bundle.manifest
    assert json.loads(done.stdout)["budget"]["ipc"] == bundle.manifest.budget.ipc
    assert done.stdout.isascii()


def test_verify_detects_a_flipped_bit(run, bundle_file, tmp_path):
    data = bytearray(bundle_file.read_bytes())
    data[-1] ^= 1
    broken = tmp_path / "broken.hmn"
    broken.write_bytes(data)
    assert run("inspect", broken).exit_code == 0
    done = run("inspect", broken, "--verify")
    assert done.exit_code == 4
    assert "broken.hmn" in done.stderr
    assert run("inspect", bundle_file, "--verify").exit_code == 0


def test_other_files_fail_with_one_line(run, tmp_path):
    path = tmp_path / "x.hmn"
    path.write_bytes(b"GIF89a" * 100)
    for given in (path, tmp_path, tmp_path / "absent.hmn"):
        done = run("inspect", given)
        assert done.exit_code == 4
        assert done.stderr.count("\n") == 1


def test_table_fits_the_width_in_columns(run, bundle_file):
    done = run("inspect", bundle_file, COLUMNS="60")
    assert max(map(len, done.stdout.splitlines())) <= 60


@pytest.mark.parametrize("columns", ["0", "1", "20", "40"])
def test_no_width_loses_what_is_printed(run, bundle_file, columns):
    wide, narrow = (run("inspect", bundle_file, COLUMNS=width) for width in ("100", columns))
    assert sorted("".join(narrow.stdout.split())) == sorted("".join(wide.stdout.split()))
