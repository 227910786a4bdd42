"""Cached trainings of pruning: an interrupted run resumes with the same result."""

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.pruning import Trainings, prune
from hmnpack.runtime.ranks import World


class Stop(Exception):
    pass


@pytest.fixture
def prunes(big, source, changed):
    """Return a function that prunes with a work directory and returns the listener's calls too."""
    config = changed(betas=(0.0, 0.5, 1.0))

    def run(folder, listener=None, **changes):
        calls = []

        def record(stage, done, total, **facts):
            calls.append((stage, done, total))
            if listener is not None:
                listener(stage, done, total)

        given = {"data": source, "seed": 2, "device": "cpu", **changes}
        return prune(big, 1, config, work=folder, listener=record, **given), calls

    return run


def stopping_in(stage, part):
    """Return a listener that stops once a given fraction of a stage is done."""

    def record(now, done, total):
        if now == stage and done > part * total:
            raise Stop

    return record


@pytest.mark.parametrize(
    ("stage", "part", "left"),
    [("margins", 0.5, ["margins", "pruning"]), ("pruning", 0.4, ["pruning"])],
)
@pytest.mark.slow
def test_pruning_resumes_after_the_last_training(prunes, tmp_path, stage, part, left):
    expected, every = prunes(None)
    with pytest.raises(Stop):
        prunes(tmp_path, stopping_in(stage, part))
    found, calls = prunes(tmp_path)
    assert list(dict.fromkeys(name for name, _, _ in calls)) == left
    assert calls == every[-len(calls) :]
    assert len(calls) < len(every)
    assert found.manifest == expected.manifest
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in found.tensors)
    again, calls = prunes(str(tmp_path))
    assert calls == []
    assert again.manifest == expected.manifest


@pytest.mark.slow
def test_cache_key_covers_everything_that_affects_a_training(prunes, tmp_path):
    _, calls = prunes(tmp_path)
    files = set(tmp_path.iterdir())
    assert len(prunes(tmp_path, seed=3)[1]) == len(calls)
    assert len(set(tmp_path.iterdir())) == 2 * len(files)


@pytest.mark.slow
def test_damaged_training_is_repeated(prunes, tmp_path):
    expected, every = prunes(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    damaged = min(files)
    damaged.write_bytes(b"nothing")
    found, calls = prunes(tmp_path)
    assert 0 < len(calls) < len(every)
    assert found.manifest == expected.manifest
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_unwritable_work_directory_fails_before_training(prunes, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadSettings, match=r"cannot write to the work directory .*; name ano"):
        prunes(tmp_path / "file", stopping_in("margins", 0))


def test_ranks_resume_from_the_cache_of_the_leader(tmp_path):
    """Only the leader reads and writes; the other ranks may have another disk."""
    broadcast = []

    class Fake(World):
        def any(self, *flags):
            return list(flags)

        def _error_of_leader(self, error):
            return None

        def of_leader(self, value):
            if self.rank == 0:
                broadcast.append(dict(value))
                return value
            return broadcast[-1]

        def add(self, tensors):
            pass

    def train(names, listener):
        return torch.tensor([float(ord(name)) for name in names])

    def run(rank, names, folder):
        world = Fake(rank, 2)
        trainings = Trainings(world=world).cached_in(folder, "facts")
        return trainings.run("t", list(names), train, torch.zeros(()), torch.device("cpu"))

    run(0, "abc", tmp_path / "shared")
    assert [path.suffix for path in (tmp_path / "shared").iterdir()] == [".pt"] * 3
    run(0, "abc", tmp_path / "shared")
    assert broadcast[-1] == {"a": 97, "b": 0, "c": 99}  # b belongs to the other rank
    own = tmp_path / "other"
    found = run(1, "abc", own)
    assert not own.exists()
    assert found == broadcast[-1]
