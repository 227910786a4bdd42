"""Avalanche's replay plugin with a memory of condensed images; without Avalanche, the extra."""

import importlib
import json
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.integrations.avalanche import HmnBuffer

CLASSES = ("dog", "cat", "bee", "ant")
"""Names of the benchmark, in another order than those of the files."""


@pytest.fixture
def files(bundle_of, hmn):
    """Two files of six images each: of ant and bee, and of cat and dog."""
    return [bundle_of(hmn()), bundle_of(hmn(), 1, classes=("cat", "dog"))]


def test_memory_without_avalanche_names_the_extra(monkeypatch, files):
    monkeypatch.setitem(sys.modules, "avalanche", None)
    monkeypatch.delitem(sys.modules, "avalanche.training.storage_policy", raising=False)
    with pytest.raises(MissingExtra, match=r"replay memory for Avalanche .* '\.\[avalanche\]'"):
        HmnBuffer(files, classes=CLASSES)


@pytest.fixture
def avalanche():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        yield pytest.importorskip("avalanche")


class Drawn(Dataset):
    """Four random images for each of some labels."""

    def __init__(self, *labels):
        self.targets = list(labels) * 4
        self.images = torch.rand(len(self.targets), 3, 16, 16)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]


def experiences(avalanche, task_labels):
    """Return a stream of two experiences: labels 3 and 2, then 1 and 0."""
    from avalanche.benchmarks import benchmark_from_datasets, nc_benchmark
    from avalanche.benchmarks.utils import as_classification_dataset

    if task_labels:
        data = Drawn(0, 1, 2, 3)
        return nc_benchmark(data, data, 2, False, fixed_class_order=[3, 2, 1, 0]).train_stream
    parts = [as_classification_dataset(Drawn(*labels)) for labels in ((3, 2), (1, 0))]
    return benchmark_from_datasets(train=parts, test=parts).train_stream


@pytest.mark.slow
@pytest.mark.parametrize("task_labels", [None, (0, 0)])
def test_strategy_replays_files_of_earlier_experiences(avalanche, files, task_labels):
    from avalanche.training.plugins import ReplayPlugin, SupervisedPlugin
    from avalanche.training.storage_policy import ExemplarsBuffer
    from avalanche.training.supervised import Naive

    class Recorder(SupervisedPlugin):
        def before_training_iteration(self, strategy, **_):
            batches.append((strategy.mb_x.clone(), strategy.mb_y.clone()))

    memory = HmnBuffer(files, classes=CLASSES, transform=lambda x: x + 7, task_labels=task_labels)
    assert isinstance(memory, ExemplarsBuffer) and memory.max_size == 12
    assert len(memory.buffer) == 0 == memory.nbytes
    replay = ReplayPlugin(mem_size=memory.max_size, batch_size_mem=6, storage_policy=memory)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    strategy = Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.0),
        train_mb_size=8,
        plugins=[replay, Recorder()],
        evaluator=None,
    )
    found = []
    for experience in experiences(avalanche, task_labels):
        batches = []
        strategy.train(experience)
        found.append(batches)
    replayed = [[labels[images.amin((1, 2, 3)) > 5] for images, labels in each] for each in found]
    assert all(not len(labels) for labels in replayed[0])
    # Ant is 3 and bee is 2 in the benchmark; the memory's batch of 6 is the whole first file.
    assert [labels.sort().values.tolist() for labels in replayed[1]] == [[2, 2, 2, 3, 3, 3]]
    assert memory.nbytes == sum(len(file.to_bytes()) for file in files)
    assert list(memory.buffer.targets) == [3] * 3 + [2] * 3 + [1] * 3 + [0] * 3


def test_files_of_experiences_seen_before_are_there_from_the_start(avalanche, files):
    memory = HmnBuffer(files, classes=CLASSES, seen=1)
    assert len(memory.buffer) == 6 and memory.nbytes == files[0].nbytes
    memory.resize(None, 40)
    assert memory.max_size == 40
    with pytest.raises(BadSettings, match="hold 12 images, more than 11"):
        memory.resize(None, 11)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seen": 3}, "3 experiences were seen, but there are 2 files"),
        ({"task_labels": [0]}, "1 task labels for 2 files"),
        ({"classes": ["ant", "bee", "cat"]}, "unknown class of the benchmark 'dog'"),
    ],
)
def test_wrong_memory_is_refused(avalanche, files, changes, message):
    with pytest.raises(BadSettings, match=message):
        HmnBuffer(files, **{"classes": CLASSES} | changes)


@pytest.mark.parametrize("task_labels", [None, (0, 0)])
def test_task_labels_must_be_those_of_the_benchmark(avalanche, files, task_labels):
    memory = HmnBuffer(files, classes=CLASSES, task_labels=task_labels)
    (first, _) = experiences(avalanche, not task_labels)
    with pytest.raises(BadSettings, match=r"the benchmark has (no )?task labels"):
        memory.post_adapt(None, first)


@pytest.mark.slow
def test_measured_replay_is_recorded(avalanche, monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    root = Path(__file__).resolve().parents[2]
    folder = root / "examples" / "reproduce"
    if not folder.is_dir():
        pytest.skip("no source tree")
    monkeypatch.syspath_prepend(str(folder))
    script = importlib.import_module("avalanche_replay")
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    words = ["--bundle", str(root / "examples" / "bundles" / "digits.hmn"), "--data", "digits"]
    monkeypatch.setattr(sys, "argv", ["x.py", *words, "--epochs", "3", "--seeds", "0"])
    script.main()
    result = json.loads((tmp_path / "avalanche-digits.json").read_text())
    without = result["baselines"][-1]
    assert without["name"] == "no replay" and without["accuracy_mean"] < 30
    assert result["accuracy_mean"] > 50
