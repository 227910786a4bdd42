"""`verify`, `evaluate --record`, and scores in `inspect`."""

import json
from dataclasses import replace

import pytest
import torch

# Imported before a fixture replaces open_source; see test_commands.py.
import hmnpack.evaluation
import hmnpack.evaluation.verification  # noqa: F401
from hmnpack.bundle import inspect
from hmnpack.cli import cmd_verify
from hmnpack.errors import BadSettings
from hmnpack.evaluation import Evaluation
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Row
from hmnpack.schema.score import BaselineScore, Score, Versions
from hmnpack.sources import Source
from hmnpack.sources.types import split_of

TEST = "7" * 64


def score_of(*accuracies, **facts):
    known = {
        "protocol": "short",
        "network": "convnet",
        "seed": 0,
        "held_out": False,
        "data": "pets [x]",
        "fingerprint": TEST,
        "images": 9,
    }
    return Score(**(known | facts), accuracies=accuracies)


@pytest.fixture
def save(bundle_of, hmn, tmp_path):
    """Return a function that saves a bundle with given scores."""

    def made(name, *scores):
        path = tmp_path / name
        bundle_of(hmn(classes=3), scores=scores).save(path)
        return path

    return made


@pytest.fixture
def source(monkeypatch):
    """A dataset that every name opens; `calls` lists the names."""
    images = torch.zeros((12, 3, 16, 16), dtype=torch.uint8)
    labels = torch.arange(12) % 3
    split = split_of(images, labels)
    made = Source("pets [x]", ("a", "b", "c"), split, replace(split, fingerprint=TEST))
    calls = []

    def open_source(spec, options, listener, **_):
        calls.append(spec)
        return made

    monkeypatch.setattr("hmnpack.sources.open_source", open_source)
    made.__dict__["calls"] = calls
    return made


@pytest.fixture
def trained(monkeypatch):
    """Replace training: every network reaches 50 %; the fixture lists the settings."""
    seen = []

    def evaluate(bundle, data, config, *, device, listener, **_):
        seen.append((config, device))
        listener("bundle", 1, 1)
        rows = tuple(
            Row(name=name, images=9, accuracy_mean=mean, accuracy_std=0.5, networks=3)
            for name, mean in (("bundle", 50.0), ("random [real]", 25.25))
        )
        return Evaluation(rows, score_of(*[50.0] * config.repeats, seed=config.seed), config)

    for module in ("evaluation", "evaluation.verification"):
        monkeypatch.setattr(f"hmnpack.{module}.evaluate", evaluate)
    return seen


class TestVerify:
    def test_intact_file_prints_a_line(self, run, save, source):
        paths = save("a.hmn"), save("b [x].hmn", score_of(50.0))
        done = run("verify", *paths)
        assert done.exit_code == 0, done.output
        first, second = done.stdout.splitlines()
        assert first.startswith(f"{paths[0]}: intact; 9 images in ")
        assert first.endswith(" floats, 4.6 kB, 0 scores")
        assert second.endswith(" kB, 1 score")
        assert done.stderr == ""
        assert source.calls == []

    def test_broken_file_does_not_stop_the_others(self, run, save, tmp_path):
        broken, whole = save("a.hmn"), save("b.hmn")
        data = bytearray(broken.read_bytes())
        data[-1] ^= 1
        broken.write_bytes(data)
        done = run("verify", broken, tmp_path / "absent.hmn", whole)
        assert done.exit_code == 4
        assert done.stdout.startswith(f"{whole}: intact")
        assert [line.startswith("hmnpack: ") for line in done.stderr.splitlines()] == [True] * 2

    def test_score_is_reproduced(self, run, save, source, trained):
        path = save("a.hmn", score_of(49.0, 50.0, 51.0))
        done = run("verify", path, "--data", "pets", "--device", "cpu", "--quiet")
        assert done.exit_code == 0, done.output
        line = done.stdout.splitlines()[1]
        assert line.startswith(
            f"{path}: score 1 reproduced: convnet on pets [x], recorded 50.00 % "
        )
        assert "(3 networks), now 50.00 % (3 networks), within the 99 % interval " in line
        assert done.stderr == ""
        ((config, device),) = trained
        assert (config.seed, config.repeats, config.baselines, device) == (0, 3, False, "cpu")

    def test_score_is_not_reproduced(self, run, save, source, trained):
        good, bad = save("a.hmn", score_of(50.0, 50.0)), save("b.hmn", score_of(99.0, 99.1, 99.2))
        done = run("verify", bad, good, "--data", "pets", "--quiet")
        assert done.exit_code == 6
        assert done.stderr.count("\n") == 1
        assert f"hmnpack: {bad}: score 1 not reproduced: " in done.stderr
        assert "recorded 99.10 % (3 networks), now 50.00 % (3 networks), outside " in done.stderr
        assert f"{good}: score 1 reproduced" in done.stdout

    def test_data_that_one_file_cannot_be_read_with_do_not_stop_the_others(
        self, run, save, source, trained, monkeypatch, tmp_path
    ):
        (tmp_path / "broken.hmn").write_bytes(b"no file")
        odd, good = save("a.hmn", score_of(50.0, 50.0)), save("b.hmn", score_of(50.0, 50.0))
        read = cmd_verify.read_as_recorded

        def read_as_recorded(file, *args):
            if file == odd:
                raise BadSettings("unknown class 'cat'")
            return read(file, *args)

        monkeypatch.setattr(cmd_verify, "read_as_recorded", read_as_recorded)
        done = run("verify", tmp_path / "broken.hmn", odd, good, "--data", "pets", "--quiet")
        assert done.exit_code == 4  # of the first error
        assert "unknown class 'cat'" in done.stderr
        assert f"{good}: score 1 reproduced" in done.stdout

    def test_options_reach_the_training(self, run, save, source, trained):
        path = save("a.hmn", score_of(50.0, 50.0), score_of(60.0, 60.0, seed=3))
        options = ("--score", 1, "--networks", 4, "--seed", 8)
        done = run("verify", path, "--data", "pets", *options)
        assert done.exit_code == 0, done.output
        assert "bundle: 1 in" in done.stderr
        assert [(config.seed, config.repeats) for config, _ in trained] == [(8, 4)]

    def test_file_without_scores_fails_before_data_are_opened(self, run, save, source):
        done = run("verify", save("a.hmn"), "--data", "pets")
        assert done.exit_code == 2
        assert "evaluate" in done.stderr
        assert "--record" in done.stderr
        assert source.calls == []

    def test_another_dataset_is_bad_data(self, run, save, source, trained):
        done = run("verify", save("a.hmn", score_of(50.0, fingerprint="8" * 64)), "--data", "pets")
        assert done.exit_code == 3
        assert "fingerprints differ" in done.stderr
        assert trained == []

    @pytest.mark.parametrize("option", ["--score", "--networks", "--seed"])
    def test_options_that_need_data(self, run, save, option):
        done = run("verify", save("a.hmn"), option, 2)
        assert done.exit_code == 2
        assert "add --data" in done.stderr


def seeded_rng(seed):
    return EvaluateConfig(seed=seed)


class TestRecord:
    def test_score_is_recorded_in_the_file(self, run, save, source, trained):
        path = save("a.hmn")
        given = ("evaluate", path, "--data", "pets", "--record")
        done = run(*given)
        assert done.exit_code == 0, done.output
        assert f"{path}: recorded the score of convnet" in done.stderr
        (score,) = inspect(path, verify=True).scores
        assert score.accuracies == (50.0,) * 3
        assert [row.name for row in score.baselines] == ["random [real]"]
        assert run(*given, "--quiet", "--seed", 4).stderr == ""
        assert len(inspect(path).scores) == 2
        assert run("verify", path, "--data", "pets").exit_code == 0

    def test_file_is_unchanged_without_record(self, run, save, source, trained):
        path = save("a.hmn")
        before = path.read_bytes()
        assert run("evaluate", path, "--data", "pets").exit_code == 0
        assert path.read_bytes() == before

    def test_unwritable_file_fails_before_training(self, run, save, source, trained):
        path = save("a.hmn")
        link = path.with_name("link.hmn")
        link.symlink_to(path)
        assert run("evaluate", link, "--data", "pets", "--record").exit_code == 2
        assert source.calls == trained == []

    def test_score_is_recorded_if_printing_fails(self, run, save, source, trained, monkeypatch):
        def full(*given, **named):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("hmnpack.cli.outcome.accuracy_table", full)
        path = save("a.hmn")
        done = run("evaluate", path, "--data", "pets", "--record")
        assert done.exit_code == 1
        assert len(inspect(path).scores) == 1

    def test_result_is_printed_if_recording_fails(self, run, save, source, trained, monkeypatch):
        def fail(*given, **named):
            from hmnpack.errors import OutputExists

            raise OutputExists("it has changed")

        monkeypatch.setattr("hmnpack.evaluation.scores.record", fail)
        done = run("evaluate", save("a.hmn"), "--data", "pets", "--record")
        assert done.exit_code == 2
        assert "50.00 %" in done.stdout
        assert done.stderr.endswith("hmnpack: it has changed\n")


class TestInspect:
    @pytest.fixture
    def path(self, save):
        baseline = BaselineScore(name="random [real]", images=9, mean=20.5, std=2.25, networks=3)
        versions = Versions(hmnpack="0.9", torch="2.9.1", torchvision="0.24", python="3.12")
        facts = {"versions": versions, "device": "cuda", "baselines": (baseline,)}
        config = {"train": {"epochs": 20, "\x1b[2J": "[red]"}}
        return save("a.hmn", score_of(50.0), score_of(49.0, 51.0, config=config, **facts))

    def test_scores_are_shown_with_their_baselines(self, run, path):
        shown = run("inspect", path).stdout
        assert "Score 1: convnet on pets [x]" in shown
        assert "50.00 % (1 network, 9 images)" in shown
        second = shown.partition("Score 2")[2]
        assert "50.00 % +- 1.41 (2 networks, 9 images)" in second
        assert "random [real]" in second
        assert "20.50 % +- 2.25 (3 networks, 9 images)" in second
        protocol = 'short, seed 0; but train.\\x1b[2J="[red]", train.epochs=20'
        assert protocol in " ".join(second.split())
        assert "\x1b" not in shown
        assert "hmnpack 0.9, torch 2.9.1, torchvision 0.24, Python 3.12, on cuda" in second
        assert TEST in second

    def test_json_contains_all_scores(self, run, path):
        first, second = json.loads(run("inspect", path, "--json").stdout)["scores"]
        assert "versions" not in first
        assert second["baselines"][0]["name"] == "random [real]"
        assert second["versions"]["torch"] == "2.9.1"
        assert (second["protocol"], second["config"]["train"]["epochs"]) == ("short", 20)
