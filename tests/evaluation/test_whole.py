"""The full-dataset baseline: trained once for all bundles; and comparisons with other rows."""

from dataclasses import replace

import pytest
import torch

from hmnpack.evaluation import FLOATS_ROW, WHOLE_ROW, TrainingSet, below_whole, over_random
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.whole import whole_row
from hmnpack.runtime.kept import Store
from hmnpack.runtime.progress import no_progress
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Row
from hmnpack.training import saving


@pytest.fixture
def bench(source, config):
    test = TrainingSet(source.test.images, source.test.labels, 1)
    same = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
    return Bench(config, same, 3, source.image, test, torch.device("cpu"), no_progress)


@pytest.fixture
def trained(monkeypatch):
    """Names and normalisations of the networks that are trained; without any optimiser step."""
    seen = []

    def train(networks, sets, *given, names, normalisation, **more):
        assert {len(labels) for _, labels in sets} == {60}
        seen.extend((name, normalisation) for name in names)

    monkeypatch.setattr("hmnpack.evaluation.trainer.train_together", train)
    return seen


def changed(bench, **changes):
    """Return the bench with changed settings of the protocol; ``train`` changes the training's."""
    train = bench.config.train.model_copy(update=changes.pop("train", {}))
    return replace(bench, config=bench.config.model_copy(update={"train": train, **changes}))


def test_full_dataset_row_is_trained_once(bench, source, trained, tmp_path):
    first = whole_row(bench, source, tmp_path)
    assert (first.name, first.networks) == (WHOLE_ROW, 2)
    other_bundle = replace(bench, normalisation=Normalisation(mean=(0.5,) * 3, std=(0.1,) * 3))
    assert whole_row(other_bundle, source, tmp_path) == first
    assert [name for name, _ in trained] == [f"evaluate/{WHOLE_ROW}/{index}" for index in range(2)]
    mean = torch.tensor(trained[0][1].mean)
    torch.testing.assert_close(mean, source.train.images.float().mean((0, 2, 3)) / 255)


def test_additional_networks_reuse_the_cache(bench, source, trained, tmp_path):
    first = whole_row(bench, source, tmp_path)
    row = whole_row(changed(bench, repeats=3), source, tmp_path)
    assert row.accuracies[:2] == first.accuracies
    assert len(trained) == row.networks == 3


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"train": {"lr": 0.01}}, {"min_steps": 100}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_protocol_is_retrained(bench, source, trained, tmp_path, changes):
    whole_row(bench, source, tmp_path)
    whole_row(changed(bench, **changes), source, tmp_path)
    assert len(trained) == 4


def test_other_dataset_is_retrained(bench, source, trained, tmp_path):
    whole_row(bench, source, tmp_path)
    for part in ("train", "test"):
        other = replace(getattr(source, part), fingerprint="cd" * 32)
        whole_row(bench, replace(source, **{part: other}), tmp_path)
    assert len(trained) == 6


def test_epochs_are_limited_to_300_for_all_budgets(bench, source, trained, tmp_path):
    rows = [
        whole_row(changed(bench, train={"epochs": epochs}), source, tmp_path)
        for epochs in (2000, 1000, 300)
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0].figures["epochs"] == 300
    assert len(trained) == 2


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_damaged_cache_file_is_rewritten(bench, source, trained, tmp_path, data):
    once = changed(bench, repeats=1)
    first = whole_row(once, source, tmp_path)
    (path,) = (tmp_path / "accuracies").iterdir()
    path.write_bytes(data)
    for _ in range(2):
        assert whole_row(once, source, tmp_path) == first
    assert len(trained) == 2


def test_unwritable_cache_is_ignored(bench, source, trained, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert whole_row(bench, source, blocked).networks == 2
    assert len(trained) == 2


def test_work_directory_replaces_an_unwritable_cache(bench, source, trained, tmp_path):
    blocked, work = tmp_path / "a file", tmp_path / "work"
    blocked.write_text("")
    own = replace(bench, store=Store(work))
    first = whole_row(own, source, tmp_path / "cache")
    assert not work.exists()
    assert whole_row(own, source, blocked) == first
    assert len(list(work.iterdir())) == 2
    assert whole_row(own, source, blocked) == first
    assert len(trained) == 4


def test_interrupted_training_resumes(bench, source, monkeypatch, tmp_path):
    """Without a work directory too: training on the full dataset takes longest."""
    monkeypatch.setattr(
        "hmnpack.evaluation.trainer.saving", lambda entries: saving(entries, seconds=0)
    )
    once, epochs = changed(bench, repeats=1), []

    def stop(stage, done, total, **facts):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole_row(replace(once, listener=stop), source, tmp_path)
    found = whole_row(
        replace(once, listener=lambda _, done, *a, **k: epochs.append(done)), source, tmp_path
    )
    assert epochs == list(range(3, 9))
    assert found == whole_row(once, source, tmp_path / "another")
    assert [path.suffix for path in (tmp_path / "accuracies").iterdir()] == [".pt"]


def test_full_dataset_row_learns(bench, source, tmp_path):
    assert whole_row(bench, source, tmp_path).accuracy_mean > 80


class TestComparisons:
    ROWS = tuple(
        Row(name=name, images=9, accuracy_mean=mean, accuracy_std=0, networks=1)
        for name, mean in (("bundle", 60.0), (FLOATS_ROW, 22.5), (WHOLE_ROW, 85.25))
    )

    def test_points_above_random_and_below_the_full_dataset(self):
        bundle, random, whole = self.ROWS
        assert over_random(bundle, self.ROWS) == 37.5
        assert below_whole(bundle, self.ROWS) == 25.25
        assert (over_random(whole, self.ROWS), below_whole(random, self.ROWS)) == (62.75, 62.75)

    def test_row_is_not_compared_with_itself_or_a_missing_row(self):
        bundle, random, whole = self.ROWS
        assert over_random(random, self.ROWS) is below_whole(whole, self.ROWS) is None
        assert over_random(bundle, [bundle]) is below_whole(bundle, [bundle, random]) is None
