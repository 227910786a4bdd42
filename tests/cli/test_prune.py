"""`hmnpack prune`, and its output in `inspect`."""

import json

import pytest
import torch

from hmnpack.bundle import read
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import SourceFacts
from hmnpack.sources import Source
from hmnpack.sources.types import split_of

QUICK = (
    *("--set", "network.width=4", "--set", "network.depth=2", "--set", "seeds=2"),
    *("--set", "margin_epochs=2", "--set", "train.epochs=2", "--set", "min_steps=0"),
    *("--device", "cpu", "--quiet"),
)


@pytest.fixture
def source(monkeypatch):
    """A dataset that every name opens; `calls` lists the names."""
    labels = torch.arange(3).repeat_interleave(20)
    images = torch.randint(0, 255, (60, 3, 16, 16), generator=stream(0, "pixels"))
    made = Source("[pets]", ("a", "b", "c"), split_of(images.to(torch.uint8), labels), None)
    made.__dict__["calls"] = []

    def open_source(name, options, listener, **_):
        made.calls.append((name, options.size))
        return made

    monkeypatch.setattr("hmnpack.pruning.run.open_source", open_source)
    return made


@pytest.fixture
def big(bundle_of, hmn, source, tmp_path):
    facts = SourceFacts(
        name="[pets]",
        fingerprint=source.train.fingerprint,
        train_images=60,
        held_out=6,
        skipped={},
    )
    spec = hmn(classes=3, instances=70, dataset_channels=2, extractor_channels=None)
    path = tmp_path / "big.hmn"
    bundle_of(spec, source=facts, recipe="smoke", seed=0, holdout=0.1).save(path)
    return path


def test_given_beta_needs_no_data(run, big, source, tmp_path):
    small = tmp_path / "small.hmn"
    done = run("prune", big, "--to-ipc", 1, "-o", small, "--beta", 0.25, "--seed", 3, *QUICK)
    assert done.exit_code == 0, done.output
    assert source.calls == []
    manifest = read(small).manifest
    (record,) = manifest.provenance.prunings
    assert (record.beta, record.seed, record.config["seeds"]) == (0.25, 3, 2)
    assert f"{manifest.container.images:,} images in {manifest.ledger.floats:,}" in done.stdout
    assert "by double-end at beta 0.25" in done.stdout
    assert done.stderr == ""


def test_beta_is_chosen_on_the_data(run, big, source, tmp_path):
    small = tmp_path / "small.hmn"
    arguments = ("--to-ipc", 1, "-o", small, "--data", "pets", "--size", 16)
    some = ("--set", "betas=[0.0, 0.5, 1.0]")
    loud = [option for option in QUICK if option != "--quiet"]
    done = run("prune", big, *arguments, *some, *loud)
    assert done.exit_code == 0, done.output
    assert source.calls == [("pets", 16)]
    (record,) = read(small).manifest.provenance.prunings
    assert [score.beta for score in record.scores] == [0.0, 0.5, 1.0]
    assert "chosen on 6 held-out images" in done.stdout
    assert "Choice of beta" in done.stderr
    assert done.stderr.count("margins: ") == done.stderr.count("pruning: ") == 1


def test_batched_training_selects_the_same_images(run, big, source, tmp_path):
    kept = []
    for at_once in (1, 2):
        small = tmp_path / f"{at_once}.hmn"
        options = ("--to-ipc", 1, "-o", small, "--strategy", "hard", "--at-once", at_once)
        assert run("prune", big, *options, *QUICK).exit_code == 0
        kept.append(read(small).tensors["memory.instance"])
    assert torch.equal(*kept)
    assert run("prune", big, "--to-ipc", 1, "-o", small, "--at-once", 0).exit_code == 2


@pytest.mark.parametrize("strategy", ["easy", "hard", "random", "none"])
def test_the_other_strategies_need_no_data(run, big, tmp_path, strategy):
    small = tmp_path / "small.hmn"
    done = run("prune", big, "--to-ipc", 1, "-o", small, "--strategy", strategy, *QUICK)
    assert done.exit_code == 0, done.output
    manifest = read(small).manifest
    (record,) = manifest.provenance.prunings
    assert (record.strategy, record.beta) == (strategy, None)
    assert (manifest.margins is None) == (strategy in ("random", "none"))


def test_inspect_shows_prunings_and_the_range_of_margins(run, big, tmp_path):
    once, twice = tmp_path / "once.hmn", tmp_path / "twice.hmn"
    run("prune", big, "--to-ipc", 1, "-o", once, "--strategy", "easy", *QUICK)
    kept = read(once).manifest.container.instances
    shown = run("inspect", once).stdout
    assert f"{kept} of 70 images per class, by easy" in shown
    assert "summed over 2 epochs (mean of 2 networks)" in " ".join(shown.split())
    areas = read(once).manifest.margins.areas
    assert f"{min(areas):.1f} to {max(areas):.1f}" in shown
    document = json.loads(run("inspect", once, "--json").stdout)
    assert document["provenance"]["prunings"][0]["instances"] == 70
    assert len(document["margins"]["values"]) == 3 * kept
    assert "pruned" not in run("inspect", big).stdout
    assert "margins" not in json.loads(run("inspect", big, "--json").stdout)
    assert run("prune", once, "--to-ipc", 1, "-o", twice, *QUICK).exit_code == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "name the dataset that the bundle was made from (--data), or give a beta"),
        (("--strategy", "easy", "--beta", 0.5), "strategy easy does not use beta, got 0.5"),
        (("--strategy", "easy", "--data", "x"), "easy does not use real images"),
        (("--beta", 0.5, "--data", "x"), "double-end with a given beta does not use real"),
        (("--to-ipc", 2), "nothing to prune"),
        (("--beta", 0.5, "--set", "seed=1"), "unknown setting 'seed'"),
        (("--beta", 0.5, "--set", "networks=0"), "networks"),
        (("--beta", 0.5, "--device", "abacus"), "abacus"),
        (("--beta", 0.5, "--set", "network.name=convnte"), "did you mean convnet"),
    ],
)
def test_invalid_options_fail_with_one_line(run, big, tmp_path, options, expected):
    small = tmp_path / "small.hmn"
    done = run("prune", big, "--to-ipc", 1, "-o", small, *QUICK, *options)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not small.exists()


def test_another_dataset_is_bad_data(run, bundle_of, hmn, source, tmp_path):
    path = tmp_path / "other.hmn"
    spec = hmn(classes=3, instances=70, dataset_channels=2, extractor_channels=None)
    bundle_of(spec, recipe="smoke", seed=0, holdout=0.1).save(path)
    done = run("prune", path, "--to-ipc", 1, "-o", tmp_path / "x", "--data", "pets", *QUICK)
    assert done.exit_code == 3
    assert "[pets] is not the dataset that the bundle was made from (made up" in done.stderr
    assert done.stderr.count("\n") == 1


def test_output_is_replaced_only_with_force(run, big, tmp_path):
    small = tmp_path / "small.hmn"
    small.write_bytes(b"mine")
    arguments = ("prune", big, "--to-ipc", 1, "-o", small, "--strategy", "none", *QUICK)
    assert run(*arguments).exit_code == 2
    assert small.read_bytes() == b"mine"
    assert run(*arguments, "--force").exit_code == 0
    assert read(small).manifest.budget.ipc == 1


def test_other_files_fail_with_one_line(run, tmp_path):
    path = tmp_path / "x.hmn"
    path.write_bytes(b"GIF89a" * 100)
    done = run("prune", path, "--to-ipc", 1, "-o", tmp_path / "y.hmn", "--beta", 0.5)
    assert done.exit_code == 4
    assert done.stderr.count("\n") == 1
