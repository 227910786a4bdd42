"""Cached trainings of pruning: an interrupted one ends as if it had not been."""

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.pruning import Trainings, prune
from hmnpack.runtime.ranks import World


class Stop(Exception):
    pass


@pytest.fixture
def prunes(big, source, changed):
    """The function that prunes in a folder, and tells which trainings were done."""
    config = changed(betas=(0.0, 0.5, 1.0))

    def run(folder, listener=None, **changes):
        heard = []

        def hear(stage, done, total, **facts):
            heard.append((stage, done, total))
            if listener is not None:
                listener(stage, done, total)

        given = {"data": source, "seed": 2, "device": "cpu", **changes}
        return prune(big, 1, config, work=folder, listener=hear, **given), heard

    return run


def stopping_in(stage, part):
    """Return a listener that stops as soon as so much of a stage is done, and what it was."""

    def hear(now, done, total):
        if now == stage and done > part * total:
            raise Stop

    return hear


@pytest.mark.parametrize(
    ("stage", "part", "left"),
    [("margins", 0.5, ["margins", "pruning"]), ("pruning", 0.4, ["pruning"])],
)
@pytest.mark.slow
def test_pruning_resumes_after_the_last_training(prunes, tmp_path, stage, part, left):
    expected, every = prunes(None)
    with pytest.raises(Stop):
        prunes(tmp_path, stopping_in(stage, part))
    found, heard = prunes(tmp_path)
    assert list(dict.fromkeys(name for name, _, _ in heard)) == left
    assert heard == every[-len(heard) :]
    assert len(heard) < len(every)
    assert found.manifest == expected.manifest
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in found.tensors)
    again, heard = prunes(str(tmp_path))
    assert heard == []
    assert again.manifest == expected.manifest


@pytest.mark.slow
def test_what_decides_a_training_decides_its_file(prunes, tmp_path):
    _, heard = prunes(tmp_path)
    files = set(tmp_path.iterdir())
    assert len(prunes(tmp_path, seed=3)[1]) == len(heard)
    assert len(set(tmp_path.iterdir())) == 2 * len(files)


@pytest.mark.slow
def test_a_damaged_training_is_done_again(prunes, tmp_path):
    expected, every = prunes(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    damaged = min(files)
    damaged.write_bytes(b"nothing")
    found, heard = prunes(tmp_path)
    assert 0 < len(heard) < len(every)
    assert found.manifest == expected.manifest
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_folder_that_cannot_be_written_is_refused_at_once(prunes, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadSettings, match=r"cannot write to the work directory .*; name ano"):
        prunes(tmp_path / "file", stopping_in("margins", 0))


def test_ranks_resume_with_what_the_leader_has(tmp_path):
    """Only the leader reads and writes; the others may see another disk."""
    told = []

    class Fake(World):
        def any(self, *flags):
            return list(flags)

        def _error_of_leader(self, error):
            return None

        def of_leader(self, value):
            if self.rank == 0:
                told.append(dict(value))
                return value
            return told[-1]

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
    assert told[-1] == {"a": 97, "b": 0, "c": 99}  # b was the other's
    own = tmp_path / "other"
    found = run(1, "abc", own)
    assert not own.exists()
    assert found == told[-1]
