"""The whole data's row: trained once, whatever the bundle; and comparisons with other rows."""

from dataclasses import replace

import pytest
import torch

from hmnpack.evaluation import FLOATS_ROW, WHOLE_ROW, TrainingSet, below_whole, over_random
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.whole import whole_row
from hmnpack.runtime.progress import silent
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Row


@pytest.fixture
def bench(source, config):
    test = TrainingSet(source.test.images, source.test.labels, 1)
    same = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
    return Bench(config, same, 3, source.image, test, torch.device("cpu"), silent)


@pytest.fixture
def trained(monkeypatch):
    """The benches of the networks that are trained; each is a point better than the one before."""
    seen = []

    def trained(bench, row, group, sets, *, before):
        assert (row, {len(sets[index].labels) for index in group}) == (WHOLE_ROW, {60})
        first = len(seen) + 1
        seen.extend([bench] * len(group))
        return [50.0 + first + place for place in range(len(group))]

    monkeypatch.setattr(Bench, "trained", trained)
    return seen


def changed(bench, **changes):
    """Return the bench with other settings of the protocol; ``train`` has those of the training."""
    train = bench.config.train.model_copy(update=changes.pop("train", {}))
    return replace(bench, config=bench.config.model_copy(update={"train": train, **changes}))


def test_it_is_trained_once(bench, source, trained, tmp_path):
    first = whole_row(bench, source, tmp_path)
    assert (first.name, first.accuracy_mean, first.networks) == (WHOLE_ROW, 51.5, 2)
    other_bundle = replace(bench, normalisation=Normalisation(mean=(0.5,) * 3, std=(0.1,) * 3))
    assert whole_row(other_bundle, source, tmp_path) == first
    assert len(trained) == 2
    mean = torch.tensor(trained[0].normalisation.mean)
    torch.testing.assert_close(mean, source.train.images.float().mean((0, 2, 3)) / 255)


def test_those_that_are_missing_are_trained_at_once(bench, source, trained, tmp_path):
    whole_row(changed(bench, repeats=1), source, tmp_path)
    groups = []
    original = Bench.trained

    def counted(bench, row, group, sets, *, before):
        groups.append((tuple(group), before))
        return original(bench, row, group, sets, before=before)

    trained_by = replace(changed(bench, repeats=6), at_once=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "trained", counted)
        row = whole_row(trained_by, source, tmp_path)
    assert groups == [((1, 2, 3), 1), ((4, 5), 4)]
    assert row.accuracy_mean == 53.5
    assert len(list((tmp_path / "accuracies").iterdir())) == 6


def test_more_networks_are_added(bench, source, trained, tmp_path):
    whole_row(bench, source, tmp_path)
    assert whole_row(changed(bench, repeats=3), source, tmp_path).accuracy_mean == 52
    assert len(trained) == 3


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"train": {"lr": 0.01}}, {"min_steps": 100}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_protocol_is_trained(bench, source, trained, tmp_path, changes):
    whole_row(bench, source, tmp_path)
    whole_row(changed(bench, **changes), source, tmp_path)
    assert len(trained) == 4


def test_other_data_are_trained(bench, source, trained, tmp_path):
    whole_row(bench, source, tmp_path)
    for part in ("train", "test"):
        other = replace(getattr(source, part), fingerprint="cd" * 32)
        whole_row(bench, replace(source, **{part: other}), tmp_path)
    assert len(trained) == 6


def test_many_epochs_are_300_for_all_budgets(bench, source, trained, tmp_path):
    rows = [
        whole_row(changed(bench, train={"epochs": epochs}), source, tmp_path)
        for epochs in (2000, 1000, 300)
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0].figures["epochs"] == 300
    assert len(trained) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"accuracy": "high"}', '{"accuracy": 101}'])
def test_a_broken_file_is_written_again(bench, source, trained, tmp_path, text):
    once = changed(bench, repeats=1)
    whole_row(once, source, tmp_path)
    (path,) = (tmp_path / "accuracies").iterdir()
    path.write_text(text)
    for _ in range(2):
        assert whole_row(once, source, tmp_path).accuracy_mean == 52
    assert len(trained) == 2


def test_a_cache_that_cannot_be_written_stops_nothing(bench, source, trained, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert whole_row(bench, source, blocked).accuracy_mean == 51.5


def test_it_really_learns(bench, source, tmp_path):
    assert whole_row(bench, source, tmp_path).accuracy_mean > 80


class TestComparisons:
    ROWS = tuple(
        Row(name=name, images=9, accuracy_mean=mean, accuracy_std=0, networks=1)
        for name, mean in (("bundle", 60.0), (FLOATS_ROW, 22.5), (WHOLE_ROW, 85.25))
    )

    def test_points_above_random_and_below_the_whole(self):
        bundle, random, whole = self.ROWS
        assert over_random(bundle, self.ROWS) == 37.5
        assert below_whole(bundle, self.ROWS) == 25.25
        assert (over_random(whole, self.ROWS), below_whole(random, self.ROWS)) == (62.75, 62.75)

    def test_a_row_is_not_compared_with_itself_or_with_none(self):
        bundle, random, whole = self.ROWS
        assert over_random(random, self.ROWS) is below_whole(whole, self.ROWS) is None
        assert over_random(bundle, [bundle]) is below_whole(bundle, [bundle, random]) is None
